# What becomes of a NUMA string on disk and through the commands that serve every type: snapshots and
# append-only files, killed servers, DUMP and RESTORE of anything at all, COPY, MOVE, SWAPDB, lazy
# free, expiry.
source [file join [file dirname [info script]] .. support numa.tcl]

# The moment in ms at which the key runs out, as the server's own clock has it.
proc runs_out_at {key} {
    r multi
    r time
    r pttl $key
    lassign [r exec] time left
    return [expr {[lindex $time 0] * 1000 + [lindex $time 1] / 1000 + $left}]
}

# Strings of many sizes on all nodes, some with a time to live.
proc fill {} {
    set i 0
    foreach size {0 1 20 44 45 100 1000 4096 32768 40000 300000} {
        foreach node {0 1 2} {
            r numa.set key:[incr i] [string repeat [format %c [expr {64 + $i}]] $size] node $node
        }
    }
    r numa.set number 12345
    r numa.set binary "\x00\xff\r\n\x01" ex 100000
    r numa.set deadline v pxat 4102444800123
    r numa.set edited abc
    r numa.append edited def
    r numa.setrange edited 8 x
    r numa.incrbyfloat float 1.5
    r numa.getex binary pxat 4102444800456
}

proc check_filled {} {
    assert_equal 38 [r dbsize]
    assert_equal [string repeat [format %c [expr {64 + 33}]] 300000] [r numa.get key:33]
    assert_equal "\x00\xff\r\n\x01" [r numa.get binary]
    assert_equal "abcdef\x00\x00x" [r numa.get edited]
    assert_equal {1.5} [r numa.get float]
    assert_equal 12346 [r numa.incr number]
    assert_equal 12345 [r numa.decr number]
    assert_range [runs_out_at deadline] 4102444800121 4102444800125
    assert_range [runs_out_at binary] 4102444800454 4102444800458
}

# The checksum at the end of a DUMP payload (CRC-64 of Jones), so that a payload made here gets by.
proc crc64 {bytes} {
    if {![info exists ::crc64_table]} {
        for {set i 0} {$i < 256} {incr i} {
            set crc $i
            for {set bit 0} {$bit < 8} {incr bit} {
                set crc [expr {($crc & 1) ? ($crc >> 1) ^ 0x95ac9329ac4bc9b5 : $crc >> 1}]
            }
            lappend ::crc64_table $crc
        }
    }
    set crc 0
    binary scan $bytes cu* numbers
    foreach byte $numbers {
        set crc [expr {[lindex $::crc64_table [expr {($crc ^ $byte) & 0xff}]] ^ ($crc >> 8)}]
    }
    return $crc
}

# A payload of this body with the footer that the server expects: version and checksum.
proc sealed {body} {
    append body [binary format s 9]
    return $body[binary format w [crc64 $body]]
}

# The body of a DUMP of the key.
proc dump_body {key} {return [string range [r dump $key] 0 end-10]}

proc flip {bytes at bit} {
    binary scan [string index $bytes $at] cu number
    return [string replace $bytes $at $at [binary format c [expr {$number ^ (1 << $bit)}]]]
}

# What a server without the module says of the file in that folder, within three seconds.
proc plain_server {dir} {
    set command [list timeout 3 src/redis-server --port 0 --unixsocket socket --dir $dir]
    catch {exec {*}$command --save {} 2>@1} output
    return $output
}

# A value that says by itself whether it is whole: its key, again and again.
proc whole_value {key count} {return [string repeat "$key;" $count]}

# Values move when they are told to, and only then.
set by_hand {numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no}

tags {strings} {
    start_numa_server "[numa_three_nodes] $by_hand" {overrides {save {} appendonly no}} {
        test {a snapshot keeps bytes, times to live and heat} {
            fill
            for {set i 0} {$i < 5} {incr i} {r numa.get key:10}
            set heat [lrange [r numamigrate info key:10] 4 7]
            set digest [r debug digest]
            r save
            restart_server 0 true false
            assert_equal $digest [r debug digest]
            assert_equal $heat [lrange [r numamigrate info key:10] 4 7]
            check_filled
        }

        test {DEBUG RELOAD and DEBUG DIGEST} {
            set digest [r debug digest]
            r debug reload
            assert_equal $digest [r debug digest]
            assert_equal 0 [numa_info numa_rdb_rejected]
        }

        test {equal content has an equal digest on whichever node, however hot} {
            r flushall
            r numa.set k v node 1
            set digest [r debug digest]
            set value [r debug digest-value k]
            r numamigrate key k 2
            r numa.get k
            assert_equal [list $digest $value] [list [r debug digest] [r debug digest-value k]]
            r numa.set k w
            assert {$digest ne [r debug digest]}
            r numa.set k v node 0
            assert_equal $digest [r debug digest]
        }

        foreach preamble {yes no} {
            test "append-only file, rdb preamble $preamble: written, rewritten, written again" {
                r flushall
                r config set aof-use-rdb-preamble $preamble
                r config set appendonly yes
                waitForBgrewriteaof r
                fill
                set digest [r debug digest]
                r debug loadaof
                assert_equal $digest [r debug digest]
                check_filled
                r bgrewriteaof
                waitForBgrewriteaof r
                r numa.append edited {}
                r numa.mset key:1 x key:2 y
                r numa.getdel key:3
                r numa.set key:3 z node 2 get
                r numa.set temporary v ex 1000
                r numa.getex temporary persist
                r numa.msetnx temporary x other y
                r numa.getex temporary exat 1
                r numa.setnx key:1 x node 1
                set digest [r debug digest]
                r debug loadaof
                assert_equal $digest [r debug digest]
                assert_equal {z} [r numa.get key:3]
                check_filled
                r config set appendonly no
            }
        }

        test {append-only file: a restart} {
            r config set appendonly yes
            waitForBgrewriteaof r
            r numa.set late v px 1000000
            set at [runs_out_at late]
            set digest [r debug digest]
            r config rewrite
            restart_server 0 true false
            assert_equal $digest [r debug digest]
            assert_range [runs_out_at late] [expr {$at - 3}] [expr {$at + 3}]
            r config set appendonly no
            r config rewrite
        }

        test {the append-only file has no NODE} {
            r config set appendonly yes
            waitForBgrewriteaof r
            foreach words {{set k v} {setnx k2 v} {setex k 10 v} {psetex k 10000 v} {getset k v}
                           {append k v} {setrange k 0 v} {set k v ex 10} {set k v nx}} {
                r numa.[lindex $words 0] {*}[lrange $words 1 end] node 1
            }
            set file [file join [lindex [r config get dir] 1] appendonly.aof]
            assert_equal 0 [regexp -nocase {\r\nnode\r\n} [exec cat $file]]
            r config set appendonly no
        }

        test {COPY, RENAME, MOVE and SWAPDB keep bytes, time to live and heat} {
            r flushall
            r numa.set k [string repeat v 1000] pxat 4102444800123 node 2
            for {set i 0} {$i < 5} {incr i} {r numa.get k}
            set heat [lrange [r numamigrate info k] 4 7]
            assert_equal 1 [r copy k copied]
            assert_equal 0 [r copy k copied]
            assert_equal 1 [r copy k copied replace]
            assert_equal 1 [r copy k other db 10]
            r rename k renamed
            r select 10
            foreach {key db} {other 10 copied 9 renamed 9} {
                r select $db
                assert_equal [string repeat v 1000] [r numa.get $key]
                assert_range [runs_out_at $key] 4102444800121 4102444800125
            }
            # The copy was as hot as its source; one read each came after.
            foreach key {copied renamed} {
                assert_equal [expr {[lindex $heat 3] + 1}] \
                    [lindex [r numamigrate info $key] 7] $key
            }
            assert_equal 1 [r move renamed 10]
            r swapdb 9 10
            assert_equal {other renamed} [lsort [r keys *]]
            assert_equal 2 [numa_node_of renamed]
            # A copy is a value of its own.
            r numa.append other x
            assert_equal 1001 [r numa.strlen other]
            assert_equal 1000 [r numa.strlen renamed]
            r flushall
        }

        test {DUMP and RESTORE} {
            foreach value [list {} v 12345 [string repeat x 100000] "\x00\r\n"] {
                r numa.set k $value
                set payload [r dump k]
                assert_error {BUSYKEY*} {r restore k 0 $payload}
                assert_equal {OK} [r restore k 0 $payload replace]
                assert_equal {OK} [r restore new 4102444800123 $payload absttl replace]
                assert_equal [list $value $value] [list [r numa.get k] [r numa.get new]]
                assert_range [runs_out_at new] 4102444800121 4102444800125
            }
            # The footer made here is the server's.
            assert_equal $payload [sealed [string range $payload 0 end-10]]
        }

        test {RESTORE refuses payloads that end early, at every length} {
            r flushall
            r numa.set k hello
            set body [dump_body k]
            set before [numa_info numa_rdb_rejected]
            set taken {}
            for {set len 0} {$len < [string length $body]} {incr len} {
                set cut [string range $body 0 $len-1]
                if {[catch {r restore x 0 [sealed $cut]} error]} {
                    assert_match {ERR *} $error
                } else {
                    lappend taken [r numa.get x]
                    r del x
                }
            }
            # The server reads on into the footer, whose version then stands for what is missing.
            assert_equal [list "hell\t"] $taken
            assert_equal 0 [r exists x]
            assert_morethan [numa_info numa_rdb_rejected] [expr {$before + 5}]
        }

        test {RESTORE of payloads with a flipped bit: an error, or a sound value} {
            r numa.set k hello
            set body [dump_body k]
            for {set at 0} {$at < [string length $body]} {incr at} {
                for {set bit 0} {$bit < 8} {incr bit} {
                    set bad [catch {r restore x 0 [sealed [flip $body $at $bit]] replace} error]
                    if {$bad} {assert_match {ERR *} $error}
                    if {[r type x] eq {numa-strg}} {
                        assert_range [r numa.strlen x] 0 100
                        r numamigrate info x
                        r numa.append x y
                        r numamigrate key x 1
                    }
                    r del x
                }
            }
            assert_equal 0 [numa_info numa_panics_caught]
        }

        test {RESTORE of many bad payloads does not fill the log} {
            set body [dump_body k]
            set before [numa_log_count {* # *refused a numa-strg payload*}]
            set begun [clock seconds]
            for {set i 0} {$i < 3000} {incr i} {
                assert_error {ERR Bad data format*} {r restore x 0 [sealed [string range $body 0 11]]}
            }
            set most [expr {[clock seconds] - $begun + 2}]
            assert_range [expr {[numa_log_count {* # *refused a numa-strg payload*}] - $before}] 0 $most
        }

        test {RESTORE of noise} {
            expr {srand(11)}
            set head [string range [dump_body k] 0 9]
            for {set i 0} {$i < 2000} {incr i} {
                set noise [randstring 0 60 binary]
                catch {r restore x 0 [sealed $head$noise] replace}
            }
            assert_equal {PONG} [r ping]
            assert_equal 0 [numa_info numa_panics_caught]
            r del x
        }

        test {RESTORE refuses an encoding version of the future, and counts it} {
            set body [dump_body k]
            # Type, length mark, then the type's id, whose last ten bits are the version.
            binary scan $body x9c last
            set future [string replace $body 9 9 [binary format c [expr {$last + 1}]]]
            set before [numa_info numa_rdb_rejected]
            assert_error {ERR Bad data format*} {r restore x 0 [sealed $future]}
            assert_equal [expr {$before + 1}] [numa_info numa_rdb_rejected]
            assert_morethan [numa_log_count {*encoding version 2; this module reads 1*}] 0
        }

        test {RESTORE refuses lengths that nobody has memory for} {
            set body [dump_body k]
            set head [string range $body 0 [expr {[string first hello $body] - 2}]]
            foreach length {0xfffffffffffffff0 0x7fffffffffffffff 0x100000000000 0x100000000} {
                set claim [binary format cW 0x81 $length]
                assert_error {ERR *} {r restore x 0 [sealed $head${claim}hello]}
            }
            assert_equal {PONG} [r ping]
            assert_equal 0 [r exists x]
        }

        test {OBJECT, DEBUG OBJECT, MEMORY USAGE, TYPE, SCAN} {
            r flushall
            foreach size {1 100 4000 40000 1000000} {
                r numa.set k [string repeat x $size]
                assert_equal {numa-strg} [r type k]
                assert_equal {raw} [r object encoding k]
                assert_equal 1 [r object refcount k]
                assert_range [r object idletime k] 0 2
                assert_match {*encoding:raw*} [r debug object k]
                assert_range [r memory usage k] $size [expr {$size * 1.3 + 200}]
            }
            assert_equal {0 k} [r scan 0 type numa-strg]
            assert_error {*LFU*} {r object freq k}
            r config set maxmemory-policy allkeys-lfu
            r numa.get k
            assert_range [r object freq k] 0 255
            r config set maxmemory-policy noeviction
        }

        test {moving a key does not refresh its idle time} {
            r numa.set k v
            after 2100
            r numamigrate key k 2
            r numamigrate info k
            assert_morethan [r object idletime k] 1
            r numa.get k
            assert_equal 0 [r object idletime k]
        }

        test {a key runs out when it is met, and by itself} {
            r flushall
            r debug set-active-expire 0
            r numa.set k [string repeat x 100000] px 20
            after 30
            assert_equal 1 [r dbsize]
            assert_equal {} [r numa.get k]
            assert_equal 0 [r dbsize]
            r numa.set k v px 20
            after 30
            assert_error {ERR Key not found} {r numamigrate key k 1}
            r debug set-active-expire 1
            for {set i 0} {$i < 500} {incr i} {r numa.psetex k:$i 20 [string repeat x 1000]}
            numa_wait 10 {[r dbsize] == 0} {all keys run out}
            numa_wait 5 {[numa_info numa_node0_used_bytes] == 0} {their blocks come back}
        }

        test {UNLINK, FLUSHALL ASYNC and the lazyfree settings give every block back} {
            set used {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes]}
            foreach settings {no yes} {
                foreach name {user-del server-del expire eviction} {
                    r config set lazyfree-lazy-$name $settings
                }
                for {set i 0} {$i < 40} {incr i} {
                    r numa.set big:$i [string repeat x 500000] node [expr {$i % 2}]
                    r numa.set small:$i v
                }
                assert_morethan [expr $used] 20000000
                for {set i 0} {$i < 10} {incr i} {
                    r unlink big:$i
                    r del small:$i
                    r numa.set big:[expr {$i + 10}] [string repeat y 400000]
                    r numa.getdel big:[expr {$i + 20}]
                    r set small:[expr {$i + 20}] native
                    r pexpire big:[expr {$i + 30}] 1
                }
                r flushall async
                numa_wait 10 {[numa_info numa_node0_used_bytes]
                    + [numa_info numa_node1_used_bytes] == 0} {all blocks back}
                assert_equal 0 [s lazyfree_pending_objects]
            }
            assert_morethan [s lazyfreed_objects] 10
            r config set lazyfree-lazy-user-del no
        }

        test {a server without the module refuses the file and says why} {
            r flushall
            r numa.set k v
            r save
            set dir [lindex [r config get dir] 1]
            set copy [tmpdir plain]
            file copy -force $dir/dump.rdb $copy/dump.rdb
            assert_match {*module*numa-strg*} [plain_server $copy]
        }

        test {converted back to native, a file loads without the module} {
            r numa convert k native
            r save
            set dir [lindex [r config get dir] 1]
            set copy [tmpdir plain]
            file copy -force $dir/dump.rdb $copy/dump.rdb
            assert_match {*DB loaded from disk*} [plain_server $copy]
        }
    }

    start_numa_server "[numa_three_nodes] $by_hand" {overrides {save {}}} {
        test {kill -9 during BGSAVE under writes and moves: the last whole file loads} {
            for {set i 0} {$i < 300} {incr i} {r numa.set key:$i [whole_value key:$i 50]}
            r save
            r config set rdb-key-save-delay 2000
            foreach round {1 2} {
                r bgsave
                set writer [redis_deferring_client]
                for {set i 0} {$i < 4000} {incr i} {
                    set key key:[expr {$i % 300}]
                    $writer numa.set $key [whole_value $key [expr {$i % 700}]]
                    $writer numamigrate key $key [expr {$i % 3}]
                }
                for {set i 0} {$i < 8000} {incr i} {assert_equal {OK} [$writer read]}
                $writer close
                assert_equal 1 [s rdb_bgsave_in_progress]
                exec kill -9 [srv 0 pid]
                restart_server 0 true false
                r config set rdb-key-save-delay 2000
                assert_equal 300 [r dbsize]
                for {set i 0} {$i < 300} {incr i} {
                    assert_equal [whole_value key:$i 50] [r numa.get key:$i]
                }
            }
        }

        test {a BGSAVE under writes and moves holds the moment of its fork} {
            r config set rdb-key-save-delay 500
            r bgsave
            for {set i 0} {$i < 300} {incr i} {
                r numa.set key:$i [whole_value key:$i 200] node [expr {$i % 3}]
                r numamigrate key key:$i [expr {($i + 1) % 3}]
                if {$i % 3 == 0} {r del key:$i}
            }
            r config set rdb-key-save-delay 0
            waitForBgsave r
            assert_equal ok [s rdb_last_bgsave_status]
            exec kill -9 [srv 0 pid]
            restart_server 0 true false
            assert_equal 300 [r dbsize]
            for {set i 0} {$i < 300} {incr i} {
                assert_equal [whole_value key:$i 50] [r numa.get key:$i]
            }
        }
    }

    start_numa_server "[numa_three_nodes] $by_hand" {overrides {save {} appendonly yes appendfsync always}} {
        test {kill -9 with appendfsync always: every acknowledged write is there} {
            foreach preamble {yes no} {
                r config set aof-use-rdb-preamble $preamble
                r bgrewriteaof
                set writer [redis_deferring_client]
                for {set i 0} {$i < 1000} {incr i} {
                    $writer numa.incr counter
                    $writer numa.append log "$i;"
                    $writer numa.set key:[expr {$i % 50}] [whole_value key:[expr {$i % 50}] $i]
                    $writer numamigrate keys [expr {$i % 3}] counter log
                }
                for {set i 0} {$i < 4000} {incr i} {$writer read}
                $writer close
                set digest [r debug digest]
                exec kill -9 [srv 0 pid]
                restart_server 0 true false
                assert_equal $digest [r debug digest]
                r del log
            }
            assert_equal 2000 [r numa.get counter]
        }
    }
}

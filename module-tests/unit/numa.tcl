# NUMA: reports, proof, the two planes, and the way to leave.
source [file join [file dirname [info script]] .. support numa.tcl]

proc names {pairs} {
    set names {}
    foreach {name value} $pairs {lappend names $name}
    return $names
}

proc status_of {name} {
    return [numa_pair [r numa status] $name]
}

proc wait_for_pass {} {
    numa_wait 30 {[status_of pass] eq "none"} "the pass ends"
}

# Waits until the walk has seen every key twice from here on: its last whole census is then of
# what is there now.
proc wait_for_survey {} {
    set surveys [numa_info numa_surveys]
    numa_wait 40 {[numa_info numa_surveys] >= $surveys + 2} "two whole surveys"
}

proc heatmap_sums {} {
    set keys 0
    set bytes 0
    foreach row [r numa heatmap] {
        incr keys [lindex $row 2]
        incr bytes [lindex $row 3]
    }
    return [list $keys $bytes]
}

proc types_of {pattern} {
    set types {}
    foreach key [r keys $pattern] {dict incr types [r type $key]}
    return $types
}

# `count` NUMA strings on each of these databases, every third with a time to live.
proc fill {dbs count} {
    set client [redis_deferring_client]
    foreach db $dbs {
        $client select $db
        for {set i 0} {$i < $count} {incr i} {
            if {$i % 3} {
                $client numa.set key:$i value:$db:$i node [expr {$i % 2}]
            } else {
                $client numa.set key:$i value:$db:$i px [expr {1000000 + $i}]
            }
        }
    }
    for {set i 0} {$i < [llength $dbs] * ($count + 1)} {incr i} {$client read}
    $client close
}

set ::still "numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no"

tags {numa} {
    start_numa_server "[numa_two_nodes] $::still" {} {
        test {INFO: name and value of each field of the INFO section} {
            set pairs [r numa info]
            set lines {}
            foreach line [split [r info numa] "\r\n"] {
                if {[string match {numa_*:*} $line]} {
                    lappend lines [lindex [split $line :] 0]
                }
            }
            assert_equal $lines [names $pairs]
            assert_equal 2 [numa_pair $pairs numa_nodes]
        }

        test {NODES: for each node its tier, CPUs, distances, latencies, room and use} {
            set nodes [r numa nodes]
            assert_equal 2 [llength $nodes]
            lassign $nodes near far
            foreach node $nodes id {0 1} {
                assert_equal $id [numa_pair $node node]
                foreach name {
                    tier home cpus distances latencies_ns capacity free limit used believed
                    verified index
                } {
                    assert {$name in [names $node]}
                }
                assert_equal 2 [llength [numa_pair $node distances]]
                assert_equal 2 [llength [numa_pair $node latencies_ns]]
                assert_equal 1 [numa_pair $node simulated]
            }
            assert_equal 1 [numa_pair $near home]
            assert_equal 0 [numa_pair $far home]
            assert_equal {} [numa_pair $far cpus]
            assert_not_equal {} [numa_pair $near cpus]
            assert_equal 80 [lindex [numa_pair $near latencies_ns] 0]
            assert_equal 67108864 [numa_pair $near capacity]
            assert_equal 268435456 [numa_pair $far capacity]
            assert_lessthan [numa_pair $near tier] [numa_pair $far tier]
        }

        test {NODES: used, free and limit follow} {
            r numaconfig set node_limit 1 8mb
            set before [numa_pair [lindex [r numa nodes] 1] used]
            for {set i 0} {$i < 100} {incr i} {r numa.set k$i [string repeat v 10000] node 1}
            set node [lindex [r numa nodes] 1]
            assert_equal 8388608 [numa_pair $node limit]
            assert_range [expr {[numa_pair $node used] - $before}] 1000000 1300000
            assert_morethan_equal [numa_pair $node believed] [numa_pair $node used]
            assert_equal [expr {268435456 - [numa_pair $node believed]}] [numa_pair $node free]
            r numaconfig set node_limit 1 0
            r flushall
        }

        test {STATUS: what runs, how far it is, and the slots} {
            set status [r numa status]
            foreach name {moves pass pass_scanned pass_keys pass_moved last_pass slots} {
                assert {$name in [names $status]}
            }
            assert_equal allowed [numa_pair $status moves]
            assert_equal none [numa_pair $status pass]
            set slots [numa_pair $status slots]
            assert_equal no-op [numa_pair [lindex $slots 0] strategy]
            assert_equal low [string tolower [numa_pair [lindex $slots 0] priority]]
            assert_equal composite-lru [numa_pair [lindex $slots 1] strategy]
            assert_equal high [string tolower [numa_pair [lindex $slots 1] priority]]
            foreach slot [lrange $slots 0 1] id {0 1} {
                assert_equal $id [numa_pair $slot slot]
                assert_equal 1000 [numa_pair $slot interval_ms]
                assert_equal running [numa_pair $slot state]
            }
        }

        test {STATUS: slots run, and none fails} {
            numa_wait 5 {[numa_info numa_slot0_runs] > 1} "slot 0 runs"
            assert_morethan [numa_info numa_slot1_runs] 1
            assert_equal 0 [numa_info numa_slot0_failures]
            assert_equal 0 [numa_info numa_slot1_failures]
        }

        test {HEATMAP: rows of node, level, keys, bytes; after a survey they sum to what is there} {
            r flushall
            set bytes 0
            for {set i 0} {$i < 400} {incr i} {
                r numa.set k$i [string repeat v [expr {$i * 5}]] node [expr {$i % 4 == 0}]
                incr bytes [numa_pair [r numamigrate info k$i] bytes]
            }
            wait_for_survey
            set rows [r numa heatmap]
            assert_equal 16 [llength $rows]
            set expected {}
            foreach node {0 1} {
                for {set level 0} {$level < 8} {incr level} {lappend expected [list $node $level]}
            }
            set cells {}
            set on {0 0 0 0}
            foreach row $rows {
                lappend cells [lrange $row 0 1]
                lset on [lindex $row 0] [expr {[lindex $on [lindex $row 0]] + [lindex $row 2]}]
            }
            assert_equal $expected $cells
            assert_equal {300 100 0 0} $on
            assert_equal [list 400 $bytes] [heatmap_sums]
            assert_equal 400 [r dbsize]
            assert_equal 300 [numa_info numa_node0_keys]
            assert_equal 100 [numa_info numa_node1_keys]
        }

        test {HEATMAP: hot keys stand at their level} {
            for {set round 0} {$round < 10} {incr round} {
                for {set i 0} {$i < 20} {incr i} {r numa.get k$i}
            }
            wait_for_survey
            set hot 0
            foreach row [r numa heatmap] {if {[lindex $row 1] == 7} {incr hot [lindex $row 2]}}
            assert_equal 20 $hot
            assert_equal 20 [numa_info numa_hotness_7_keys]
            assert_morethan_equal [numa_info numa_hot_keys] 20
        }

        test {HEATMAP: native keys are not in it, and a flush empties it} {
            r set native value
            wait_for_survey
            assert_equal 400 [lindex [heatmap_sums] 0]
            r flushall
            wait_for_survey
            assert_equal {0 0} [heatmap_sums]
        }

        test {VERIFY: every key is where it is believed to be} {
            for {set i 0} {$i < 50} {incr i} {
                r numa.set k$i [string repeat v [expr {$i * 1000}]] node [expr {$i % 2}]
            }
            set proof [r numa verify]
            assert_equal {checked matched unknown mismatched repaired} [lrange [names $proof] 0 4]
            assert_morethan_equal [numa_pair $proof checked] 50
            assert_equal [numa_pair $proof checked] [numa_pair $proof matched]
            assert_equal 0 [numa_pair $proof mismatched]
            assert_equal {} [numa_pair $proof mismatches]
            assert_equal 1 [numa_pair $proof simulated]
            assert_range [numa_pair [r numa verify count 5] checked] 5 50
            r flushall
            assert_equal 0 [numa_pair [r numa verify] checked]
        }

        test {VERIFY: errors} {
            foreach count {0 -1 100001} {
                assert_error {ERR COUNT must be between 1 and 100000} {r numa verify count $count}
            }
            assert_error {ERR value is not an integer or out of range} {r numa verify count x}
            assert_error {ERR syntax error} {r numa verify limit 5}
            assert_error {ERR *'verify'*} {r numa verify count}
        }

        test {CONVERT: to the other plane and back; value and encoding of the stock type} {
            foreach value [list "" 12345 short [string repeat x 100] "\x00\xff\r\n"] {
                r flushall
                r set key $value
                set encoding [r object encoding key]
                set digest [r debug digest]
                assert_equal {OK} [r numa convert key NUMA]
                assert_equal numa-strg [r type key]
                assert_equal $value [r numa.get key]
                assert_error {WRONGTYPE*} {r get key}
                assert_equal {OK} [r numa convert key numa]
                assert_equal {OK} [r numa convert key NATIVE]
                assert_equal string [r type key]
                assert_equal $value [r get key]
                assert_equal $digest [r debug digest]
                assert_equal {OK} [r numa convert key native]
            }
        }

        test {CONVERT: the time to live stays, to the millisecond} {
            r set key value
            r pexpireat key 4000000000123
            foreach plane {numa native numa} {
                r numa convert key $plane
                set at [r eval {
                    local now = redis.call('time')
                    return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
                        + redis.call('pttl', KEYS[1])
                } 1 key]
                assert_range $at 4000000000122 4000000000124
            }
            r persist key
            r numa convert key native
            assert_equal -1 [r ttl key]
        }

        test {CONVERT: errors, and nothing changes} {
            r flushall
            r rpush list a
            r hset hash f v
            r xadd stream * f v
            r set key value
            assert_error {ERR Key not found} {r numa convert missing numa}
            assert_error {ERR Key not found} {r numa convert missing native}
            assert_error {ERR This type has no NUMA form in this version} {
                r numa convert stream numa
            }
            foreach key {list hash stream} {
                assert_equal {OK} [r numa convert $key native]
            }
            assert_error {ERR Unknown plane: NATIVE or NUMA} {r numa convert key far}
            assert_error {ERR *'convert'*} {r numa convert key}
            assert_error {ERR *'convert'*} {r numa convert key numa 1}
            assert_equal string [r type key]
            assert_equal {a} [r lrange list 0 -1]
        }

        test {CONVERT: no room anywhere is the OOM error, the key stays} {
            r flushall
            r set big [string repeat v 1000000]
            foreach node {0 1} {r numaconfig set node_limit $node 64kb}
            assert_error {OOM*} {r numa convert big numa}
            assert_equal string [r type big]
            assert_equal 1000000 [r strlen big]
            foreach node {0 1} {r numaconfig set node_limit $node 0}
            assert_equal {OK} [r numa convert big numa]
        }

        test {CONVERT is a change: counted, and it breaks a transaction that watches} {
            r flushall
            r set key value
            set dirty [s rdb_changes_since_last_save]
            set watcher [redis_client]
            $watcher watch key
            r numa convert key numa
            $watcher multi
            $watcher ping
            assert_equal {} [$watcher exec]
            $watcher close
            assert_morethan [s rdb_changes_since_last_save] $dirty
        }

        test {CONVERT in MULTI} {
            r set a 1
            r set b 2
            r multi
            r numa convert a numa
            r numa convert b numa
            assert_equal {OK OK} [r exec]
            assert_equal {numa-strg numa-strg} [list [r type a] [r type b]]
        }

        test {REBALANCE: moves bytes until the policy's shares hold} {
            r flushall
            for {set i 0} {$i < 600} {incr i} {r numa.set k$i [string repeat v 1000] node 0}
            r numaconfig set strategy interleaved
            r numaconfig set balance_threshold 5
            assert_equal {OK} [r numaconfig rebalance]
            wait_for_pass
            assert_equal REBALANCE [status_of last_pass]
            set used0 [numa_info numa_node0_used_bytes]
            set used1 [numa_info numa_node1_used_bytes]
            set share [expr {double($used0) / ($used0 + $used1)}]
            assert {$share > 0.44 && $share < 0.56}
            assert_morethan [numa_info numa_migrations] 250
            r numaconfig set strategy local_first
            r numaconfig set balance_threshold 30
        }

        test {the two other commands under one roof} {
            r numa.set key value node 0
            assert_equal {OK} [r numa migrate key key 1]
            assert_equal 1 [numa_pair [r numa migrate info key] current_node]
            assert_equal {moved 1 skipped 0 failed 0} [r numa migrate keys 0 key]
            assert_equal [r numaconfig get] [r numa config get]
            assert_equal [names [r numamigrate stats]] [names [r numa migrate stats]]
            assert_equal [r numamigrate help] [r numa migrate help]
            assert_equal [r numaconfig help] [r numa config help]
        }

        test {HELP names every form} {
            set help [join [r numa help] "\n"]
            foreach form {
                INFO NODES STATUS HEATMAP VERIFY CONVERT RELEASE CONFIG MIGRATE HELP
            } {
                assert_match "*\n$form*" $help
            }
        }

        test {unknown subcommands and wrong numbers of words name the subcommand} {
            foreach words {
                frob {info x} {nodes x} {status x} {heatmap x} {help x} config migrate
                {release match a b}
            } {
                set sub [lindex $words 0]
                assert_error "ERR Unknown subcommand or wrong number of arguments for '$sub'*" {
                    r numa {*}$words
                }
            }
            assert_error {ERR *NUMACONFIG HELP*} {r numa config frob}
            assert_error {ERR *NUMAMIGRATE HELP*} {r numa migrate frob}
            assert_error {ERR wrong number of arguments for 'numa' command} {r numa}
            assert_error {ERR syntax error} {r numa release match}
            assert_error {ERR syntax error} {r numa release everything}
        }

        test {the command's flags: no write, or a read-only replica would refuse all of it} {
            set flags [lindex [lindex [r command info numa] 0] 2]
            foreach flag {admin noscript movablekeys may_replicate} {assert {$flag in $flags}}
            foreach flag {write denyoom} {assert {$flag ni $flags}}
            assert_error {*not allowed from script*} {
                r eval {return redis.call('numa', 'config', 'get')} 0
            }
        }

        test {CONVERT waits while clients' writes are paused, as every write does} {
            r set key value
            r client pause 100000 write
            set client [redis_deferring_client]
            $client numa convert key numa
            wait_for_blocked_clients_count 1
            assert_equal string [r type key]
            r client unpause
            assert_equal {OK} [$client read]
            $client close
            assert_equal numa-strg [r type key]
        }
    }

    start_numa_server "[numa_two_nodes] $::still" {overrides {save ""}} {
        test {RELEASE: in the background, all databases, values and times to live kept} {
            fill {0 3 9} 2000
            r select 0
            r rpush list a b
            assert_equal {OK} [r numa release]
            wait_for_pass
            assert_equal RELEASE [status_of last_pass]
            assert_equal 6000 [status_of last_pass_moved]
            foreach db {0 3 9} {
                r select $db
                assert_equal {string 2000} [types_of key:*]
                assert_equal value:$db:7 [r get key:7]
                assert_equal -1 [r ttl key:7]
                assert_range [r pttl key:9] 900000 1000009
            }
            r select 0
            assert_equal {a b} [r lrange list 0 -1]
            assert_equal 0 [numa_info numa_node0_used_bytes]
            assert_equal 0 [numa_info numa_node1_used_bytes]
            r select 9
        }

        test {the file that is saved then loads on a server without the module} {
            r save
            set dir [lindex [r config get dir] 1]
            set digest [r debug digest]
            set other [tmpdir without]
            file copy [file join $dir dump.rdb] $other
            start_server [list overrides [list dir [file normalize $other]]] {
                assert_equal {} [r module list]
                assert_equal $digest [r debug digest]
                r select 3
                assert_equal value:3:7 [r get key:7]
            }
        }

        test {RELEASE MATCH: only what matches} {
            r flushall
            for {set i 0} {$i < 200} {incr i} {
                r numa.set a:$i v
                r numa.set b:$i v
            }
            assert_equal {OK} [r numa release match a:*]
            wait_for_pass
            assert_equal {string 200} [types_of a:*]
            assert_equal {numa-strg 200} [types_of b:*]
            assert_equal {RELEASE a:*} [status_of last_pass]
        }

        test {RELEASE CANCEL stops it; what is converted stays converted} {
            r flushall
            for {set i 0} {$i < 300} {incr i} {r numa.set key:$i [string repeat v 10000]}
            r numaconfig set migrate_rate 1mb
            r numa release
            numa_wait 10 {[status_of pass_moved] > 0} "the release has begun"
            assert_equal {OK} [r numa release cancel]
            assert_equal none [status_of pass]
            assert_equal cancelled [status_of last_pass_end]
            set types [types_of key:*]
            assert_equal [status_of last_pass_moved] [dict get $types string]
            assert_equal 300 [expr {[dict get $types string] + [dict get $types numa-strg]}]
            assert_error {ERR No background pass is running} {r numa release cancel}
            r numaconfig set migrate_rate 256mb
        }

        test {RELEASE waits while clients' writes are paused, and goes on behind it} {
            r flushall
            for {set i 0} {$i < 300} {incr i} {r numa.set key:$i [string repeat v 10000]}
            r numaconfig set migrate_rate 1mb
            r numa release
            r client pause 100000 write
            set before [dict get [dict merge {numa-strg 0} [types_of key:*]] numa-strg]
            after 300
            assert_equal $before [dict get [dict merge {numa-strg 0} [types_of key:*]] numa-strg]
            assert_morethan $before 0
            r client unpause
            r numaconfig set migrate_rate 256mb
            wait_for_pass
            assert_equal {string 300} [types_of key:*]
            assert_equal 0 [status_of last_pass_failed]
        }

        test {RELEASE works while the module is switched off: it is the way to leave} {
            r flushall
            for {set i 0} {$i < 300} {incr i} {r numa.set key:$i v}
            r numaconfig set enabled no
            r numa release
            wait_for_pass
            assert_equal {string 300} [types_of key:*]
            r numaconfig set enabled yes
        }

        test {values expire, are deleted and written while a release runs} {
            r flushall
            for {set i 0} {$i < 2000} {incr i} {
                r numa.set key:$i [string repeat v 500]
            }
            r numaconfig set migrate_rate 1mb
            r numa release
            for {set i 0} {$i < 500} {incr i} {
                r del key:[expr {1999 - $i}]
                r set key:$i native
                r numa.set fresh:$i v
            }
            r numaconfig set migrate_rate 256mb
            wait_for_pass
            r numa release
            wait_for_pass
            assert_equal 2000 [r dbsize]
            assert_equal {string 2000} [types_of *]
            assert_equal native [r get key:0]
            assert_equal [string repeat v 500] [r get key:1000]
        }
    }

    start_numa_server "[numa_two_nodes] $::still" {} {
        start_numa_server "[numa_two_nodes] $::still" {} {
            r replicaof [srv -1 host] [srv -1 port]
            wait_for_sync r

            test {CONVERT and RELEASE reach the replica, times to live included} {
                r -1 set native value
                r -1 pexpireat native 4000000000123
                r -1 numa convert native numa
                r -1 select 4
                for {set i 0} {$i < 200} {incr i} {r -1 numa.set key:$i v$i px 1000000}
                r -1 numa release match key:*
                numa_wait 20 {[numa_pair [r -1 numa status] pass] eq "none"} "the release"
                wait_for_ofs_sync r [srv -1 client]
                assert_equal [r -1 debug digest] [r debug digest]
                assert_equal numa-strg [r type native]
                r select 4
                assert_equal string [r type key:0]
                assert_equal v0 [r get key:0]
                assert_range [r pttl key:0] 900000 1000000
                r select 9
                r -1 select 9
            }

            test {a read-only replica reports and moves, but does not convert} {
                assert_equal numa-strg [r type native]
                foreach words {info nodes status heatmap verify help {config get}} {
                    r numa {*}$words
                }
                assert_equal {OK} [r numa migrate key native 1]
                assert_error {READONLY *} {r numa convert native native}
                assert_error {READONLY *} {r numa release}
                r multi
                r numa convert native native
                assert_error {READONLY *} {r exec}
                assert_equal numa-strg [r type native]
                assert_equal 1 [numa_node_of native]
            }

            test {a release ends when its server becomes a replica} {
                r replicaof no one
                r flushall
                for {set i 0} {$i < 300} {incr i} {r numa.set key:$i [string repeat v 10000]}
                r numaconfig set migrate_rate 1mb
                r numa release
                numa_wait 10 {[status_of pass_moved] > 0} "the release has begun"
                r replicaof [srv -1 host] [srv -1 port]
                wait_for_sync r
                assert_equal none [status_of pass]
                assert_equal cancelled [status_of last_pass_end]
                assert_equal [r -1 debug digest] [r debug digest]
            }
        }
    }

    start_numa_server "[numa_two_nodes] $::still" {overrides {appendonly yes save ""}} {
        test {conversions are in the append-only file} {
            r set a 1
            r numa.set b 2 px 1000000
            r numa convert a numa
            r numa release match b
            wait_for_pass
            set digest [r debug digest]
            r debug loadaof
            assert_equal $digest [r debug digest]
            assert_equal {numa-strg string} [list [r type a] [r type b]]
            assert_range [r pttl b] 900000 1000000
        }
    }
}

# The four collections through every way out and in: RDB, DUMP and RESTORE, AOF, COPY, the other
# plane; and payloads that are not what they say.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support payload.tcl]

# Values of both forms, with elements of every length and score of every kind.
proc fill {} {
    r numa.rpush list:small a {} "\x00\xff\r\n" 12 -7
    r numa.zadd zset:small 1 a 2.5 {} inf b -inf "\x00\xff" -0 c 0.1 d 1e300 e
    for {set i 0} {$i < 3000} {incr i} {
        lappend elements [string repeat $i [expr {$i % 40}]]
        lappend pairs [expr {($i * 7919) % 1009 / 8.0}] member:[string repeat $i [expr {1 + $i % 30}]]
    }
    r numa.rpush list:big {*}$elements
    r numa.zadd zset:big {*}$pairs
    r numa.rpush list:long [string repeat x 300000] [string repeat y 800] z
    r numa.zadd zset:long 1 [string repeat x 300000] 2 [string repeat y 70] 3 z
    r numa.hset hash:small a 1 {} {} "\x00\xff\r\n" "\x00" n -7
    r numa.sadd set:small a {} "\x00\xff\r\n" 12 -7
    for {set i 0} {$i < 3000} {incr i} {
        lappend fields f:[string repeat $i [expr {1 + $i % 30}]] [string repeat v$i [expr {$i % 40}]]
        lappend members m:[string repeat $i [expr {1 + $i % 30}]]
    }
    r numa.hset hash:big {*}$fields
    r numa.sadd set:big {*}$members
    r numa.hset hash:long [string repeat x 300000] [string repeat y 70] a [string repeat z 90000]
    r numa.sadd set:long [string repeat x 300000] [string repeat y 70] z
}

proc contents {} {
    set all {}
    foreach key {small big long} {
        lappend all [r numa.lrange list:$key 0 -1] [r numa.zrange zset:$key 0 -1 withscores]
    }
    foreach key {small big long} {
        lappend all [lsort [r numa.hgetall hash:$key]] [lsort [r numa.smembers set:$key]]
    }
    return $all
}

tags {lists zsets persistence} {
    start_numa_server [numa_three_nodes] {overrides {save {} appendonly yes}} {
        test {RDB, AOF and DUMP give back what was there, and the digest says so} {
            fill
            set before [contents]
            set digest [r debug digest]
            r debug reload
            assert_equal $before [contents]
            assert_equal $digest [r debug digest]
            foreach preamble {yes no} {
                r config set aof-use-rdb-preamble $preamble
                r bgrewriteaof
                waitForBgrewriteaof r
                r debug loadaof
                assert_equal $before [contents]
                assert_equal $digest [r debug digest]
            }
            foreach key [r keys *] {
                set dump [r dump $key]
                r del $key
                r restore $key 0 $dump
            }
            assert_equal $before [contents]
            assert_equal $digest [r debug digest]
        }

        test {the rewritten AOF has commands of 64 elements at most, as stock writes them} {
            r config set aof-use-rdb-preamble no
            r flushall
            for {set i 0} {$i < 200} {incr i} {
                r numa.rpush list $i
                r numa.zadd zset $i m$i
                r numa.hset hash f$i v$i
                r numa.sadd set m$i
            }
            r bgrewriteaof
            waitForBgrewriteaof r
            set file [open [file join [lindex [r config get dir] 1] appendonly.aof] rb]
            set aof [read $file]
            close $file
            assert_equal 4 [llength [regexp -all -inline {NUMA.RPUSH} $aof]]
            assert_equal 4 [llength [regexp -all -inline {NUMA.ZADD} $aof]]
            assert_equal 4 [llength [regexp -all -inline {NUMA.HMSET} $aof]]
            assert_equal 4 [llength [regexp -all -inline {NUMA.SADD} $aof]]
            assert_equal 3 [llength [regexp -all -inline {\*66\r\n\$10\r\nNUMA.RPUSH} $aof]]
            assert_equal 3 [llength [regexp -all -inline {\*130\r\n\$9\r\nNUMA.ZADD} $aof]]
        }

        test {equal contents have equal digests, whatever their history} {
            r flushall
            for {set i 0} {$i < 1000} {incr i} {
                r numa.rpush a $i
                r numa.zadd z 0 $i
            }
            for {set i 0} {$i < 1000} {incr i} {if {$i % 100} {r numa.zrem z $i}}
            r numa.ltrim a 3 8
            r numa.zadd z 5 900
            set digest [r debug digest]
            r flushall
            r numa.zadd z 5 900 0 0 0 800 0 100 0 700 0 200 0 600 0 300 0 500 0 400
            r numa.rpush a 3 4 5 6 7 8
            assert_equal $digest [r debug digest]
            r numa.lset a 0 8
            r numa.lset a 5 3
            if {[r debug digest] eq $digest} {fail {the order of a list is not in its digest}}
        }

        test {COPY makes another value} {
            r flushall
            fill
            set before [contents]
            foreach key [r keys *] {
                assert_equal 1 [r copy $key copy:$key]
                assert_equal [r debug digest-value $key] [r debug digest-value copy:$key]
            }
            foreach key {small big long} {
                r numa.hset copy:hash:$key a other
                r numa.sadd copy:set:$key other
                r numa.lset copy:list:$key 0 other
                r numa.zremrangebyrank copy:zset:$key 0 0
            }
            assert_equal $before [contents]
        }

        test {a value goes to the native plane and comes back} {
            r flushall
            fill
            set before [contents]
            set digest [r debug digest]
            foreach key [r keys *] {
                r pexpire $key 9000000
                assert_equal OK [r numa convert $key native]
                assert_range [r pttl $key] 8900000 9000000
            }
            assert_equal {list} [r type list:big]
            assert_equal {zset} [r type zset:long]
            assert_equal {hash} [r type hash:big]
            assert_equal {set} [r type set:long]
            assert_equal [lindex $before 2] [r lrange list:big 0 -1]
            assert_equal [lindex $before 3] [r zrange zset:big 0 -1 withscores]
            foreach key [r keys *] {
                assert_equal OK [r numa convert $key numa]
                assert_range [r pttl $key] 8900000 9000000
                r persist $key
            }
            assert_equal $before [contents]
            assert_equal $digest [r debug digest]
        }

        test {a conversion gives no event} {
            r config set notify-keyspace-events KEA
            set listener [redis_deferring_client]
            $listener psubscribe *
            $listener read
            # A set is the one type that the server's API cannot make.
            foreach key [r keys {[hlz]*}] {
                r numa convert $key native
                r numa convert $key numa
            }
            r publish mark end
            assert_equal {pmessage * mark end} [$listener read]
            $listener close
            r config set notify-keyspace-events {}
        }

        test {a payload made by hand is read} {
            r flushall
            set heat {u 0 u 5 u 0 u 0 u 0}
            assert_equal OK [restore l [payload numa-list [concat $heat {u 2 s a s b}]]]
            assert_equal {a b} [r numa.lrange l 0 -1]
            assert_equal OK [restore z [payload numa-zset \
                [concat $heat {u 2 s a u 0 s b u 4607182418800017408}]]]
            assert_equal {a 0 b 1} [r numa.zrange z 0 -1 withscores]
            assert_equal OK [restore h [payload numa-hash [concat $heat {u 9 u 1 s f s v}]]]
            assert_equal {f v} [r numa.hgetall h]
            assert_equal OK [restore s [payload numa-sets [concat $heat {u 9 u 2 s a s b}]]]
            assert_equal {a b} [lsort [r numa.smembers s]]
        }

        test {a payload that lies is an error, and leaves nothing} {
            r flushall
            set heat {u 0 u 5 u 0 u 0 u 0}
            set nan 9221120237041090560
            foreach {type words} [list numa-list {} numa-list {u 9} numa-list $heat \
                numa-list [concat $heat {u 0}] numa-list [concat $heat {u 3 s a}] \
                numa-list [concat $heat {u 1 u 1}] numa-list [concat $heat {s a}] \
                numa-list [concat $heat {u 9223372036854775807 s a s b}] \
                numa-zset $heat numa-zset [concat $heat {u 0}] \
                numa-zset [concat $heat {u 1 s a}] numa-zset [concat $heat [list u 1 s a u $nan]] \
                numa-zset [concat $heat {u 2 s a u 0 s a u 0}] \
                numa-zset [concat $heat {u 2 s a u 0 s a u 1}] \
                numa-zset [concat $heat {u 1 u 0 u 0}] \
                numa-hash $heat numa-hash [concat $heat {u 9}] numa-hash [concat $heat {u 9 u 0}] \
                numa-hash [concat $heat {u 9 u 1 s f}] numa-hash [concat $heat {u 9 u 1 u 1 u 1}] \
                numa-hash [concat $heat {u 9 u 2 s f s v s f s v}] \
                numa-hash [concat $heat {u 9 u 9223372036854775807 s f s v}] \
                numa-sets [concat $heat {u 9 u 0}] numa-sets [concat $heat {u 9 u 2 s a s a}] \
                numa-sets [concat $heat {u 9 u 3 s a}] numa-sets [concat $heat {s a u 1 s a}]] {
                assert_error {ERR Bad data format} {restore k [payload $type $words]}
                assert_equal 0 [r exists k]
            }
            assert_morethan [numa_info numa_rdb_rejected] 10
            assert_equal 0 [numa_info numa_panics_caught]
            numa_wait 5 {[numa_info numa_node0_used_bytes] == 0} {no block is left}
        }
    }
}

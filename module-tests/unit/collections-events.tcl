# What a command of a collection tells others: the same keyspace events as its stock twin, in the
# same order, and the same effect on a replica and in the AOF.
source [file join [file dirname [info script]] .. support numa.tcl]

# Commands with what is there before them; both sides get them.
set ::rows {
    {{} {lpush k a b}} {{rpush k x} {rpush k a}} {{} {lpushx k a}} {{rpush k x} {rpushx k a}}
    {{rpush k a} {lpop k}} {{rpush k a b c} {rpop k 2}} {{rpush k a b} {lpop k 5}} {{} {lpop k}}
    {{rpush k a b c} {ltrim k 1 1}} {{rpush k a} {ltrim k 5 9}} {{rpush k a} {ltrim k 0 -1}}
    {{rpush k a b a} {lrem k 0 a}} {{rpush k a} {lrem k 0 a}} {{rpush k a} {lrem k 0 b}}
    {{rpush k a} {lset k 0 b}} {{rpush k a} {linsert k before a b}} {{rpush k a} {linsert k after x b}}
    {{rpush k a b} {lmove k l left right}} {{rpush k a} {lmove k k left left}}
    {{rpush k a} {rpoplpush k l}} {{rpush k a b} {blpop k 0}} {{rpush k a} {brpop k 0}}
    {{rpush k a} {blmove k l right left 0}} {{rpush k a} {brpoplpush k l 0}}
    {{} {zadd k 1 a 2 b}} {{zadd k 1 a} {zadd k 1 a}} {{zadd k 1 a} {zadd k ch 2 a}}
    {{zadd k 1 a} {zadd k incr 2 a}} {{zadd k 1 a} {zadd k nx incr 2 a}} {{} {zadd k xx 1 a}}
    {{zadd k 1 a} {zincrby k 0 a}} {{zadd k 1 a} {zincrby k 3 b}}
    {{zadd k 1 a 2 b} {zrem k a x}} {{zadd k 1 a} {zrem k a}} {{zadd k 1 a} {zrem k x}}
    {{zadd k 1 a 2 b} {zremrangebyscore k 1 1}} {{zadd k 1 a} {zremrangebyrank k 0 -1}}
    {{zadd k 0 a 0 b} {zremrangebylex k [a [a}} {{zadd k 1 a} {zremrangebyscore k 5 9}}
    {{zadd k 1 a 2 b} {zpopmin k}} {{zadd k 1 a 2 b} {zpopmax k 5}} {{zadd k 1 a} {zpopmin k 0}}
    {{zadd k 1 a} {bzpopmin k 0}} {{zadd k 1 a 2 b} {bzpopmax k 0}}
    {{zadd k 1 a} {zunionstore l 1 k}} {{zadd k 1 a} {zinterstore k 2 k missing}}
    {{zadd k 1 a} {zdiffstore k 1 k}} {{zadd k 1 a} {zrangestore l k 0 -1}}
    {{zadd k 1 a} {zrangestore k k 5 9}} {{} {zunionstore l 1 missing}}
    {{} {hset k a 1 b 2}} {{hset k a 1} {hset k a 1}} {{} {hmset k a 1}} {{hset k a 1} {hsetnx k a 2}}
    {{hset k a 1} {hsetnx k b 2}} {{hset k a 1 b 2} {hdel k a x}} {{hset k a 1} {hdel k a}}
    {{hset k a 1} {hdel k x}} {{hset k a 1} {hincrby k a 5}} {{} {hincrby k a -5}}
    {{hset k a 1.5} {hincrbyfloat k a 1e3}} {{} {hincrbyfloat k a 0.1}}
    {{} {sadd k a b a}} {{sadd k a} {sadd k a}} {{sadd k a b} {srem k a x}} {{sadd k a} {srem k a}}
    {{sadd k a} {srem k x}} {{sadd k a b} {smove k l a}} {{sadd k a} {smove k l a}}
    {{sadd k a} {smove k l x}} {{sadd k a} {smove k k a}} {{sadd k a} {spop k}} {{sadd k a} {spop k 1}}
    {{sadd k a b c} {spop k 5}} {{sadd k a b} {spop k 0}} {{} {spop k}} {{sadd k a b} {sinterstore l k}}
    {{sadd k a} {sinterstore k k missing}} {{sadd k a} {sunionstore l k missing}}
    {{sadd k a} {sdiffstore k k k}} {{sadd k a} {sdiffstore l k missing}} {{} {sunionstore l missing}}
}

proc with_side {words side} {
    if {$side eq {numa} && $words ne {}} {return [lreplace $words 0 0 numa.[lindex $words 0]]}
    return $words
}

proc prepare {client row side} {
    $client del k l
    set before [with_side [lindex $row 0] $side]
    if {$before ne {}} {$client {*}$before}
    return [with_side [lindex $row 1] $side]
}

# The events of a row on that side, as event and key.
proc events_of {listener row side} {
    set words [prepare r $row $side]
    r publish mark begin
    r {*}$words
    r publish mark end
    set seen {}
    while 1 {
        lassign [$listener read] kind pattern channel message
        if {$channel eq {mark} && $message eq {begin}} {set seen {}; continue}
        if {$channel eq {mark}} {return $seen}
        lappend seen [lindex [split $channel :] end] $message
    }
}

tags {lists zsets} {
    start_numa_server {} {overrides {save {} notify-keyspace-events EA}} {
        test {each command gives the events of its stock twin} {
            set listener [redis_deferring_client]
            $listener psubscribe *
            $listener read
            set count 0
            foreach row $::rows {
                set stock [events_of $listener $row stock]
                assert_equal $stock [events_of $listener $row numa] $row
                incr count [llength $stock]
            }
            assert_morethan $count 120
            $listener close
        }

        test {WATCH sees what changes, and nothing else} {
            foreach row $::rows {
                foreach side {stock numa} {
                    set words [prepare r $row $side]
                    r watch k l
                    r {*}$words
                    r multi
                    r ping
                    set ended($side) [r exec]
                }
                assert_equal $ended(stock) $ended(numa) $row
            }
        }

        test {COMMAND INFO is that of the stock twin: arity, flags, keys} {
            foreach name {lpush rpush lpushx rpushx linsert lpop rpop ltrim lrem lset llen lindex lrange
                lpos lmove rpoplpush blpop brpop blmove brpoplpush zadd zincrby zrem zremrangebyscore
                zremrangebyrank zremrangebylex zunionstore zinterstore zdiffstore zunion zinter zdiff
                zrange zrangestore zrangebyscore zrevrangebyscore zrangebylex zrevrangebylex zcount
                zlexcount zrevrange zcard zscore zmscore zrank zrevrank zscan zpopmin zpopmax bzpopmin
                bzpopmax zrandmember setbit getbit bitcount bitpos bitop bitfield bitfield_ro hset hmset
                hsetnx hdel hincrby hincrbyfloat hget hmget hlen hstrlen hexists hkeys hvals hgetall
                hscan hrandfield sadd srem smove sismember smismember scard smembers sscan spop
                srandmember sinter sunion sdiff sinterstore sunionstore sdiffstore} {
                lassign [lindex [r command info $name] 0] - arity flags first last step
                lassign [lindex [r command info numa.$name] 0] - own_arity own_flags own_first own_last \
                    own_step
                # The server adds a flag of its own to what a module registers, and takes from none
                # that scripts get its reply sorted.
                set flags [lsearch -all -inline -not $flags sort_for_script]
                set own_flags [lsearch -all -inline -not $own_flags module]
                assert_equal [list $arity [lsort $flags] $first $last $step] \
                    [list $own_arity [lsort $own_flags] $own_first $own_last $own_step] $name
            }
        }

        test {COMMAND GETKEYS finds the keys of the stock twin} {
            foreach words {{zunionstore d 2 a b weights 1 2} {zinter 2 a b} {zdiff 1 a withscores}
                {bitop and d a b} {blmove a b left right 0} {bzpopmin a b c 0} {zrangestore d s 0 -1}} {
                assert_equal [lsort [r command getkeys {*}$words]] \
                    [lsort [r command getkeys {*}[with_side $words numa]]] $words
            }
        }
    }

    start_numa_server {} {overrides {save {} repl-diskless-sync-delay 0 appendonly yes
            aof-use-rdb-preamble no}} {
        set master [srv 0 client]
        set host [srv 0 host]
        set port [srv 0 port]
        start_numa_server [numa_three_nodes] {overrides {save {}}} {
            test {each command has the same effect on a replica} {
                set replica [srv 0 client]
                $replica replicaof $host $port
                wait_for_sync $replica
                foreach row $::rows {
                    set words [prepare $master $row numa]
                    $master {*}$words
                    wait_for_ofs_sync $master $replica
                    assert_equal [$master debug digest] [$replica debug digest] $row
                }
            }
        }

        test {and in the AOF} {
            $master select 9
            $master flushall
            foreach row $::rows {
                set words [prepare $master $row numa]
                $master {*}$words
            }
            for {set i 0} {$i < 300} {incr i} {
                $master numa.rpush list $i
                $master numa.zadd zset $i.5 m$i
                $master numa.hset hash f$i v$i
                $master numa.sadd set m$i
            }
            $master numa.spop set 100
            $master numa.spop set
            set digest [$master debug digest]
            $master debug loadaof
            assert_equal $digest [$master debug digest]
        }
    }
}

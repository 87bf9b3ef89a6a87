# Clients that wait for NUMA lists and sorted sets: who is served, in which order, with what, and what
# ends the waiting.
source [file join [file dirname [info script]] .. support numa.tcl]

# A client that has sent a command and waits; it is known to be asleep when this returns.
proc waiting {args} {
    set before [s blocked_clients]
    set client [redis_deferring_client]
    $client {*}$args
    wait_for_blocked_clients_count [expr {$before + 1}]
    return $client
}

proc closes {args} {
    foreach client $args {$client close}
}

tags {lists zsets blocking} {
    start_numa_server {} {overrides {save {} notify-keyspace-events KEA}} {
        test {who comes first is served first, and one element serves one client} {
            set first [waiting numa.blpop k 0]
            set second [waiting numa.brpop k 0]
            set third [waiting numa.blpop other k 0]
            r numa.rpush k a
            assert_equal {k a} [$first read]
            wait_for_blocked_clients_count 2
            assert_equal 0 [r exists k]
            r numa.rpush k b c d
            assert_equal {k d} [$second read]
            assert_equal {k b} [$third read]
            assert_equal {c} [r numa.lrange k 0 -1]
            wait_for_blocked_clients_count 0
            r del k
            closes $first $second $third
        }

        test {the order holds over several rounds} {
            set clients {}
            for {set i 0} {$i < 5} {incr i} {lappend clients [waiting numa.blpop k 0]}
            foreach client $clients {
                r numa.rpush k $client
                assert_equal [list k $client] [$client read]
            }
            closes {*}$clients
        }

        test {a key that is there answers at once, the first of several} {
            r numa.rpush k1 a
            r numa.rpush k2 b
            assert_equal {k2 b} [r numa.blpop missing k2 k1 0]
            assert_equal {k1 a} [r numa.brpop missing k2 k1 0]
            r numa.zadd z 1 a 2 b
            assert_equal {z a 1} [r numa.bzpopmin missing z 0]
            assert_equal {z b 2} [r numa.bzpopmax missing z 0]
            assert_equal 0 [r exists z]
        }

        test {BLMOVE and BRPOPLPUSH wait for their source, and wake who waits for their target} {
            set last [waiting numa.blpop end 0]
            set middle [waiting numa.blmove mid end left right 0]
            set head [waiting numa.brpoplpush start mid 0]
            r numa.rpush start x
            assert_equal x [$head read]
            assert_equal x [$middle read]
            assert_equal {end x} [$last read]
            assert_equal 0 [r exists start mid end]
            closes $head $middle $last
        }

        test {a target of another type is an error to the client, and the element stays} {
            r set target x
            set client [waiting numa.blmove source target left left 0]
            r numa.rpush source a
            assert_error {WRONGTYPE*} {$client read}
            assert_equal {a} [r numa.lrange source 0 -1]
            r del source target
            closes $client
        }

        test {a key of another type wakes nobody} {
            set list [waiting numa.blpop k 0]
            set zset [waiting numa.bzpopmin k 0]
            r rpush k native
            r del k
            r numa.set k string
            r del k
            r numa.zadd k 5 a
            assert_equal {k a 5} [$zset read]
            r numa.rpush k b
            assert_equal {k b} [$list read]
            closes $list $zset
        }

        test {BZPOPMIN and BZPOPMAX are served in their order} {
            set min [waiting numa.bzpopmin z 0]
            set max [waiting numa.bzpopmax z 0]
            r numa.zadd z 1 a 2 b 3 c
            assert_equal {z a 1} [$min read]
            assert_equal {z c 3} [$max read]
            assert_equal {b} [r numa.zrange z 0 -1]
            r del z
            closes $min $max
        }

        test {RENAME, COPY and RESTORE make a key ready} {
            foreach way {rename copy restore} {
                set client [waiting numa.blpop k 0]
                r numa.rpush from a
                switch $way {
                    rename {r rename from k}
                    copy {r copy from k}
                    restore {r restore k 0 [r dump from]}
                }
                assert_equal {k a} [$client read]
                r del from k
                closes $client
            }
        }

        test {the time runs out} {
            foreach command {{blpop k} {brpop k} {blmove k l left left} {brpoplpush k l} {bzpopmin k}
                {bzpopmax k}} {
                set client [waiting numa.[lindex $command 0] {*}[lrange $command 1 end] 0.1]
                assert_equal {} [$client read]
                closes $client
            }
            assert_error {*timeout is not a float or out of range} {r numa.blpop k abc}
            assert_error {*timeout is negative} {r numa.bzpopmin k -1}
        }

        test {CLIENT UNBLOCK ends the waiting as a time that is over, or as an error} {
            foreach how {TIMEOUT ERROR} {
                set client [redis_deferring_client]
                $client client id
                set id [$client read]
                $client numa.blpop k 0
                wait_for_blocked_clients_count 1
                assert_equal 1 [r client unblock $id $how]
                if {$how eq {TIMEOUT}} {
                    assert_equal {} [$client read]
                } else {
                    assert_error {UNBLOCKED*} {$client read}
                }
                closes $client
            }
        }

        test {in MULTI and in scripts nobody waits} {
            r multi
            r numa.blpop k 0
            r numa.blmove k l left left 0
            r numa.brpoplpush k l 0
            r numa.bzpopmin k 0
            assert_equal {{} {} {} {}} [r exec]
            assert_error {*not allowed from scripts*} {r eval {return redis.call('numa.blpop', 'k', 0)} 0}
            r multi
            r numa.rpush k a b
            r numa.blpop k 0
            r exec
            assert_equal {b} [r numa.lrange k 0 -1]
            r del k
        }

        test {what was pushed in MULTI or by a script serves when that has ended} {
            set client [waiting numa.blpop k 0]
            r multi
            r numa.rpush k a
            r numa.lpush k b
            r numa.rpush k c
            r exec
            assert_equal {k b} [$client read]
            closes $client
            r del k
            set client [waiting numa.bzpopmax z 0]
            r eval {redis.call('numa.zadd', 'z', 1, 'a'); redis.call('numa.zadd', 'z', 2, 'b')} 0
            assert_equal {z b 2} [$client read]
            closes $client
            # Nothing is left for it when the transaction has ended: it waits on.
            set client [waiting numa.blpop gone 0]
            r multi
            r numa.rpush gone a
            r del gone
            r exec
            r numa.rpush gone b
            assert_equal {gone b} [$client read]
            closes $client
            r del z
        }

        test {who waits and goes away takes nothing} {
            set client [waiting numa.blpop k 0]
            closes $client
            wait_for_blocked_clients_count 0
            r numa.rpush k a
            assert_equal {a} [r numa.lrange k 0 -1]
            r del k
        }

        test {the events are those of the commands that do not wait} {
            set listener [redis_deferring_client]
            $listener psubscribe *
            $listener read
            set client [waiting numa.blmove k l left right 0]
            r numa.rpush k a
            assert_equal a [$client read]
            set seen {}
            for {set i 0} {$i < 8} {incr i} {lappend seen [lindex [$listener read] 3]}
            assert_equal {rpush k rpush l lpop k del k} $seen
            closes $client $listener
            r del l
        }
    }

    start_numa_server {} {overrides {save {} appendonly yes aof-use-rdb-preamble no}} {
        test {the AOF holds what was done, not the waiting} {
            set clients [list [waiting numa.blpop l 0] [waiting numa.brpop l 0] \
                [waiting numa.blmove l m left right 0] [waiting numa.brpoplpush l m 0] \
                [waiting numa.bzpopmin z 0] [waiting numa.bzpopmax z 0]]
            r numa.rpush l a b c d e f
            r numa.zadd z 1 a 2 b 3 c
            foreach client $clients {$client read}
            set digest [r debug digest]
            r debug loadaof
            assert_equal $digest [r debug digest]
            assert_equal {b e} [lsort [r numa.lrange m 0 -1]]
            assert_equal {b} [r numa.zrange z 0 -1]
            closes {*}$clients
        }
    }
}

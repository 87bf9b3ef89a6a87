# What the bit commands do beyond their replies, which strings-differential compares: events, BITOP on
# strings of both planes, the server's limit, replicas.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]
source [file join [file dirname [info script]] .. support bits.tcl]

set ::twins_plain {del lpush pexpire}

# The events since the last call, without the side in the key's name.
proc events {client} {
    set seen {}
    r publish done done
    while 1 {
        lassign [$client read] kind pattern channel message
        if {$kind eq {message}} break
        if {$kind eq {pmessage}} {
            lappend seen [list $channel [string map {s: {} n: {}} $message]]
        }
    }
    return $seen
}

tags {strings} {
    start_numa_server [numa_three_nodes] {overrides {save {} notify-keyspace-events EA}} {
        test {bit commands and their twins give the same events} {
            expr {srand($::twins_seed)}
            set listener [redis_deferring_client]
            $listener psubscribe __keyevent@9__:*
            $listener read
            $listener subscribe done
            $listener read
            for {set i 0} {$i < 3000} {incr i} {
                set words [any_bit_operation]
                catch {r {*}[both $words s]}
                set stock [events $listener]
                catch {r {*}[both $words n]}
                assert_equal $stock [events $listener] "seed $::twins_seed, $i: $words"
            }
            $listener close
            assert_equal 0 [numa_info numa_panics_caught]
        }

        test {BITOP reads strings of both planes} {
            r flushall
            r set native "\xff\x0f"
            r numa.set twin "\xf0"
            r set number 12345
            r numa.set other x
            assert_equal 2 [r numa.bitop and to native twin]
            assert_equal numa-strg [r type to]
            assert_equal "\xf0\x00" [r numa.get to]
            assert_equal 5 [r numa.bitop or to number missing]
            assert_equal 12345 [r numa.get to]
            assert_encoding int number
            assert_equal 2 [r numa.bitop xor native native twin]
            assert_equal "\x0f\x0f" [r numa.get native]
            assert_equal 0 [r numa.bitop and native missing missing]
            assert_equal 0 [r exists native]
            r lpush list x
            assert_error {WRONGTYPE*} {r numa.bitop or to twin list}
        }

        test {a bit far out asks the server's limit} {
            assert_error {*bit offset is not an integer or out of range} {
                r numa.setbit far 4294967296 1
            }
            r config set proto-max-bulk-len 1048576
            after 30
            assert_error {*bit offset is not an integer or out of range} {
                r numa.setbit far 8388608 1
            }
            assert_equal 0 [r exists far]
            r config set proto-max-bulk-len 536870912
        }
    }

    start_numa_server [numa_two_nodes] {overrides {save {} repl-diskless-sync-delay 0}} {
        set master [srv 0 client]
        set host [srv 0 host]
        set port [srv 0 port]
        start_numa_server [numa_three_nodes] {overrides {save {}}} {
            test {bit commands have the same effect on a replica} {
                set replica [srv 0 client]
                $replica replicaof $host $port
                wait_for_sync $replica
                $master numa.setbit a 70 1
                $master numa.bitfield a set u8 #3 200 incrby i5 100 -3 overflow fail incrby u2 0 9
                $master numa.bitop not b a
                $master numa.bitop xor c a b
                $master numa.bitop and b missing
                wait_for_ofs_sync $master $replica
                assert_equal [$master debug digest] [$replica debug digest]
                assert_equal 2 [$replica dbsize]
            }
        }
    }
}

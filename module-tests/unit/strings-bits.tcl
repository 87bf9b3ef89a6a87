# The bit commands against their NUMA twins: the same random words, the stock command on s:<k>, the
# twin on n:<k>. Replies, error texts, contents and events must be the same. BITOP also reads the
# other plane's strings.
source [file join [file dirname [info script]] .. support numa.tcl]

set ::bits_seed 20240607
if {[info exists ::env(NUMA_TEST_SEED)]} {set ::bits_seed $::env(NUMA_TEST_SEED)}
set ::bits_operations 20000

proc upto {max} {expr {int(rand() * $max)}}
proc chance {percent} {expr {rand() * 100 < $percent}}
proc pick {list} {lindex $list [upto [llength $list]]}
proc any_key {} {return "<key>:[upto 6]"}

proc any_offset {} {
    if {[chance 5]} {return [pick {-1 abc {} 1.5 4294967296 9223372036854775807 01 #1 { 1}}]}
    return [upto [pick {8 64 600}]]
}

proc any_index {} {
    if {[chance 5]} {return [pick {abc {} 9223372036854775807 -9223372036854775808 1.0}]}
    return [expr {[upto 60] - 30}]
}


proc any_field_offset {} {
    if {[chance 30]} {return #[upto 12]}
    return [any_offset]
}

proc any_number {} {
    switch [upto 6] {
        0 {return [pick {9223372036854775807 -9223372036854775808 9223372036854775808 abc {} 1.5}]}
        1 {return [expr {[upto 1000000000] * [upto 1000000000]}]}
        default {return [expr {[upto 600] - 300}]}
    }
}

proc any_step {} {
    set type [pick {u i}][expr {1 + [upto 63]}]
    if {[chance 4]} {set type [pick {u64 i65 u0 i0 x8 {} u i-1 8 U8 u08 i64 i64}]}
    switch [upto 4] {
        0 {return [list [pick {get GET Get}] $type [any_field_offset]]}
        1 {return [list [pick {set SET}] $type [any_field_offset] [any_number]]}
        2 {return [list [pick {incrby INCRBY}] $type [any_field_offset] [any_number]]}
        3 {return [list overflow [pick {wrap SAT fail fail Wrap sat bogus}]]}
    }
}

proc any_bitfield {} {
    set words [list [pick {bitfield bitfield bitfield bitfield_ro}] [any_key]]
    for {set steps [upto 4]} {$steps >= 0} {incr steps -1} {lappend words {*}[any_step]}
    return $words
}

proc any_operation {} {
    set key [any_key]
    set words [switch [upto 12] {
        0 - 1 {list setbit $key [any_offset] [pick {0 1 1 1 0 2 -1 abc {}}]}
        2 {list getbit $key [any_offset]}
        3 {list bitcount $key}
        4 {list bitcount $key [any_index] [any_index]}
        5 {list bitpos $key [pick {0 1 0 1 0 1 2 abc}]}
        6 {concat [list bitpos $key [pick {0 1}] [any_index]] [pick [list {} [any_index]]]}
        7 {concat [list bitop [pick {and OR xor Xor AND bogus}] $key [any_key] [any_key]] \
            [pick [list {} [any_key] [list [any_key] [any_key]]]]}
        8 {concat [list bitop [pick {not NOT}] $key [any_key]] [pick [list {} {} {} [any_key]]]}
        9 - 10 {any_bitfield}
        11 {pick [list [list del $key] [list lpush $key x] [list pexpire $key 700000] \
            [list set $key [string repeat [pick {\x00 \xff foobar}] [upto 40]]]]}
    }]
    if {[chance 2]} {set words [lrange $words 0 end-1]}
    if {[chance 2] && [lindex $words 0] ne {del}} {lappend words [pick {1 abc}]}
    return $words
}

proc both {words side} {
    set words [string map [list <key>: $side:] $words]
    if {$side eq {n} && [lindex $words 0] ni {del lpush pexpire}} {
        set words [lreplace $words 0 0 numa.[lindex $words 0]]
    }
    return $words
}

proc answer {words} {
    if {[catch {r {*}$words} reply]} {return [list error [string map {numa. {}} $reply]]}
    return [list reply $reply]
}

proc contents {get key} {
    if {[catch {r $get $key} reply]} {return error}
    return $reply
}

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
        test {bit commands and their twins answer the same, whatever comes} {
            expr {srand($::bits_seed)}
            set listener [redis_deferring_client]
            $listener psubscribe __keyevent@9__:*
            $listener read
            $listener subscribe done
            $listener read
            for {set i 0} {$i < $::bits_operations} {incr i} {
                set words [any_operation]
                set stock [answer [both $words s]]
                set stock_events [expr {$i % 10 == 0 ? [events $listener] : {}}]
                set twin [answer [both $words n]]
                set twin_events [expr {$i % 10 == 0 ? [events $listener] : {}}]
                if {$stock ne $twin} {
                    fail "seed $::bits_seed, $i: $words: stock {$stock}, the twin {$twin}"
                }
                # Every tenth, so that most operations need no second round trip.
                if {$i % 10 == 9} {events $listener}
                assert_equal $stock_events $twin_events "$i: $words"
                if {$i % 200 == 0} {
                    for {set k 0} {$k < 6} {incr k} {
                        assert_equal [contents get s:$k] [contents numa.get n:$k] "$i: $words"
                    }
                    r numamigrate keys [expr {$i % 3}] n:0 n:1 n:2 n:3 n:4 n:5
                    if {$i % 4000 == 0} {r debug reload}
                }
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

# used_memory follows the live bytes of NUMA strings, up and down, by whichever way they go: it is
# what maxmemory and eviction look at (design D1).
source [file join [file dirname [info script]] .. support numa.tcl]

set ::room "numa-simulate 0:2147483648:80,1:2147483648:250:cpuless"

# What MEMORY USAGE sums to over the keys of `prefix`: every hundredth asked, equal sizes.
proc usage_of {prefix keys} {
    set sum 0
    for {set at 0} {$at < $keys} {incr at [expr {$keys / 100}]} {
        incr sum [r memory usage $prefix$at]
    }
    return [expr {$sum * ($keys / 100)}]
}

# Fails unless two figures differ by at most `percent` percent of the second.
proc assert_near {is wanted percent what} {
    if {abs($is - $wanted) > $wanted * $percent / 100.0} {
        error "assertion:$what: $is, wanted $wanted within $percent %"
    }
}

# Waits until used_memory is within 4 MB of `before`.
proc wait_for_used {before what} {
    set most [expr {$before + 4 * 1024 * 1024}]
    numa_wait 20 "\[numa_used\] <= $most" "$what: used_memory back to $most, is [numa_used]"
    assert_morethan_equal [numa_used] [expr {$before - 4 * 1024 * 1024}] $what
}

# used_memory of an empty server, the tables of what was there before gone.
proc settled {} {
    r flushall
    after 200
    return [numa_used]
}

tags {used-memory} {
    start_numa_server $::room {overrides {save {}}} {
        test {a gigabyte of 4 KB NUMA strings shows in used_memory, and FLUSHALL takes it back} {
            set before [numa_used]
            set keys 262144
            assert_poured $keys [numa_pour 0 $keys --bytes 4096 "numa.set %k %v"]
            set wanted [usage_of key: $keys]
            assert_near [expr {[numa_used] - $before}] $wanted 5 "risen by"
            r flushall
            wait_for_used $before "after FLUSHALL"
        }

        test {the same at FLUSHALL ASYNC, UNLINK, DEL, EXPIRE and overwriting by a stock string} {
            foreach {what commands} {
                {FLUSHALL ASYNC} {flushall async}
                UNLINK {}
                DEL {}
                EXPIRE {}
                SET {}
            } {
                set before [numa_used]
                assert_poured 20000 [numa_pour 0 20000 --bytes 4096 "numa.set %k %v"]
                assert_near [expr {[numa_used] - $before}] [usage_of key: 20000] 5 $what
                switch $what {
                    UNLINK {assert_poured 20000 [numa_pour 0 20000 "unlink %k"]}
                    DEL {assert_poured 20000 [numa_pour 0 20000 "del %k"]}
                    EXPIRE {assert_poured 20000 [numa_pour 0 20000 "pexpire %k 1"]}
                    SET {assert_poured 40000 [numa_pour 0 20000 "set %k 1" "del %k"]}
                    default {r {*}$commands}
                }
                if {$what eq {EXPIRE}} {
                    assert_poured 20000 [numa_pour 0 20000 "exists %k"]
                }
                wait_for_used $before "after $what"
                assert_equal 0 [r dbsize]
            }
        }

        test {growing, shrinking and appending are counted} {
            set before [settled]
            foreach bytes {100 4096 16 3000 0 20000 64} {
                assert_poured 5000 [numa_pour 0 5000 --bytes $bytes "numa.set %k %v"]
                # The server's own two objects of a key, and its table, are not in MEMORY USAGE.
                set wanted [expr {[usage_of key: 5000] + 5000 * 32 + 65536}]
                assert_near [expr {[numa_used] - $before}] $wanted 20 "set to $bytes bytes"
            }
            for {set round 0} {$round < 8} {incr round} {
                assert_poured 5000 [numa_pour 0 5000 --bytes 500 "numa.append %k %v"]
            }
            assert_near [expr {[numa_used] - $before}] [usage_of key: 5000] 6 "appended"
            assert_poured 5000 [numa_pour 0 5000 --bytes 8 "numa.setrange %k 9000 %v"]
            assert_near [expr {[numa_used] - $before}] [usage_of key: 5000] 6 "set by range"
            r flushall
            wait_for_used $before "in the end"
        }

        test {one value of 200 MB comes and goes} {
            set before [numa_used]
            r numa.setrange big 209715199 x
            assert_near [expr {[numa_used] - $before}] [r memory usage big] 2 "a big value"
            r unlink big
            wait_for_used $before "after UNLINK of a big value"
        }

        test {with every lazyfree option used_memory follows too} {
            settled
            foreach option {lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del
                            lazyfree-lazy-user-del lazyfree-lazy-user-flush} {
                r config set $option yes
            }
            set before [numa_used]
            for {set round 0} {$round < 3} {incr round} {
                assert_poured 4000 [numa_pour 0 2000 --bytes 300000 "numa.set %k %v" "del %k" --pipeline 20]
                wait_for_used $before "after lazy DEL, round $round"
            }
        }

        test {used_memory does not drift over many cycles, moves included} {
            for {set round 0} {$round < 20} {incr round} {
                assert_poured 5000 [numa_pour 0 5000 --bytes [expr {100 + 331 * $round}] "numa.set %k %v"]
                if {$round % 4 == 0} {
                    # An earlier pass may still be at it on a busy machine.
                    catch {r numamigrate cancel}
                    r numamigrate db [expr {$round / 4 % 2}]
                    r numamigrate keys 1 key:1 key:2 key:3 key:4
                }
                if {$round % 2} {r flushall async} else {r flushall}
                if {$round == 3} {
                    after 200
                    set before [numa_used]
                }
            }
            numa_wait 20 {[numa_used] <= $before + 65536} "no drift: [numa_used] from $before"
            assert_morethan [numa_used] [expr {$before - 262144}] "no drift below"
            assert_equal 0 [numa_info numa_pool_faults]
        }
    }
}

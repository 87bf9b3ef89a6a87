# A master with two nodes and a replica with three: writes arrive with the same effect, times to live
# as the same moment, and where a value lies stays each machine's own business.
source [file join [file dirname [info script]] .. support numa.tcl]

# The moment in ms at which the key runs out, as that server's own clock has it.
proc runs_out_on {client key} {
    $client multi
    $client time
    $client pttl $key
    lassign [$client exec] time left
    return [expr {[lindex $time 0] * 1000 + [lindex $time 1] / 1000 + $left}]
}

proc same_data {master replica} {
    wait_for_ofs_sync $master $replica
    if {[$master debug digest] ne [$replica debug digest]} {
        fail "the replica has other data than its master"
    }
}

# Each write with what is there before it; every option of SET, and NODE where it is taken.
proc write_rows {} {
    set far [expr {[clock seconds] + 5000}]
    return [list {set k v} {set k v ex 100} {set k v px 100000} [list set k v exat $far] \
        [list set k v pxat ${far}123] {set k v pxat 1} {set k v nx} {set k v xx} {set k v get} \
        {set k v xx get ex 100} {set k v keepttl} {set k v keepttl get} {set k v node 1} \
        {set k v node 1 get keepttl xx} {set k v ex 100 node 1} {set k v nx node 1} \
        {setnx k v} {setnx k v node 1} {setex k 100 v} {setex k 100 v node 1} \
        {psetex k 100000 v} {psetex k 100000 v node 1} {getset k v} {getset k v node 1} \
        {getdel k} {getex k} {getex k ex 100} {getex k px 100000} [list getex k pxat ${far}123] \
        {getex k exat 1} {getex k persist} {mset k v k1 w} {msetnx k v k1 w} {msetnx k2 v k3 w} \
        {append k 1} {append k 1 node 1} {setrange k 2 x} {setrange k 2 x node 1} {setrange k 2 {}} \
        {incr k} {incrby k 5} {incrbyfloat k 0.1} {decr k} {decrby k 5}]
}

# Values move when they are told to, and only then.
set by_hand {numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no}

tags {strings repl} {
    start_numa_server "[numa_two_nodes] $by_hand" {overrides {save {} repl-diskless-sync-delay 0}} {
        set master [srv 0 client]
        set master_host [srv 0 host]
        set master_port [srv 0 port]
        start_numa_server "[numa_three_nodes] $by_hand" {overrides {save {}}} {
            set replica [srv 0 client]

            test {full sync: strings arrive with their times to live} {
                for {set i 0} {$i < 200} {incr i} {
                    $master numa.set key:$i [string repeat $i [expr {$i * 20}]] node [expr {$i % 2}]
                }
                $master numa.set k v pxat 4102444800123
                $replica replicaof $master_host $master_port
                wait_for_sync $replica
                same_data $master $replica
                assert_range [runs_out_on $replica k] 4102444800121 4102444800125
            }

            test {every write has the same effect on the replica} {
                # A key set to run out in the past must not go between two looks at the data.
                $master debug set-active-expire 0
                foreach before {{} {set k 10} {set k text} {set k 10 ex 7000} {setrange k 0 9}} {
                    foreach words [write_rows] {
                        $master del k k1 k2 k3
                        if {$before ne {}} {
                            $master numa.[lindex $before 0] {*}[lrange $before 1 end]
                        }
                        catch {$master numa.[lindex $words 0] {*}[lrange $words 1 end]}
                        same_data $master $replica
                        if {[$master pttl k] > 0} {
                            set at [runs_out_on $master k]
                            assert_range [runs_out_on $replica k] [expr {$at - 4}] [expr {$at + 4}]
                        } else {
                            assert_equal [$master pttl k] [$replica pttl k] "$before, $words"
                        }
                    }
                }
                $master debug set-active-expire 1
            }

            test {a write that changes nothing sends nothing} {
                $master del k none
                $master rpush list x
                $master numa.set k text
                wait_for_ofs_sync $master $replica
                $replica config resetstat
                foreach words {{setnx k w} {set k w nx} {set none w xx} {msetnx k w none w} {incr k}
                               {getex k} {getdel none} {getex none ex 10} {append list x}
                               {setrange k 0 {}} {set k w ex 0} {set k w node 99} {get k}} {
                    catch {$master numa.[lindex $words 0] {*}[lrange $words 1 end]}
                }
                wait_for_ofs_sync $master $replica
                assert_equal 0 [string match *cmdstat_numa* [$replica info commandstats]]
                $master del list
            }

            test {a time to live goes out as a moment: a slow replica does not lengthen it} {
                set sleeper [redis_deferring_client]
                $sleeper debug sleep 1.5
                after 100
                $master numa.setex a 1000 v
                $master numa.set b v ex 1000
                $master numa.psetex c 1000000 v
                $master numa.set d v
                $master numa.getex d px 1000000
                $sleeper read
                $sleeper close
                same_data $master $replica
                foreach key {a b c d} {
                    set at [runs_out_on $master $key]
                    assert_range [runs_out_on $replica $key] [expr {$at - 4}] [expr {$at + 4}]
                }
            }

            test {NODE is not sent: each machine places by itself} {
                $master del k
                $master numa.set k v node 1
                $master numa.setnx k2 v node 1
                wait_for_ofs_sync $master $replica
                foreach key {k k2} {
                    assert_equal 1 [numa_pair [$master numamigrate info $key] current_node]
                    assert_equal 0 [numa_pair [$replica numamigrate info $key] current_node]
                }
            }

            test {NODE in scripts does no harm, however scripts are sent} {
                foreach effects {yes no} {
                    $master config set lua-replicate-commands $effects
                    foreach node {0 1 2 77} {
                        $master eval {
                            redis.call('numa.set', KEYS[1], ARGV[1], 'node', ARGV[1])
                            redis.call('numa.append', KEYS[1], ':more')
                            return redis.call('numa.setnx', KEYS[2], 'x', 'node', ARGV[1])
                        } 2 k new:$effects:$node $node
                        same_data $master $replica
                        assert_equal "$node:more" [$replica numa.get k]
                        assert_equal {x} [$replica numa.get new:$effects:$node]
                    }
                }
                $master config set lua-replicate-commands yes
            }

            test {MULTI arrives whole} {
                $master multi
                $master numa.set k 1 node 1
                $master numa.incrbyfloat k 0.5
                $master numa.getex k ex 1000
                $master numa.getset k 7
                $master numa.mset a x b y
                $master numa.getdel a
                $master set native v
                $master exec
                same_data $master $replica
                assert_equal {7 {} y} [$replica numa.mget k a b]
            }

            test {a read-only replica refuses writes and takes moves} {
                assert_error {READONLY*} {$replica numa.set k v}
                assert_error {READONLY*} {$replica numa.getdel k}
                assert_equal {OK} [$replica numamigrate key k 2]
                assert_equal 2 [numa_pair [$replica numamigrate info k] current_node]
                assert_equal 1 [numa_pair [$replica numamigrate keys 1 k] moved]
                assert_equal {OK} [$replica numamigrate pattern b 2]
                numa_wait 5 {[numa_node_of b] == 2} {the pass moves the key}
                assert_equal {7} [$replica numa.get k]
                same_data $master $replica
            }

            test {a read-only replica shows what it has, and moves it, through NUMA as well} {
                foreach words {{info} {nodes} {status} {heatmap} {help} {migrate key k 1}
                               {config get}} {
                    $replica numa {*}$words
                }
                assert_equal 1 [numa_pair [$replica numa migrate info k] current_node]
                assert_error {READONLY*} {$replica numa convert k native}
                assert_error {*not allowed from scripts*} {
                    $replica eval {return redis.call('numa', 'convert', KEYS[1], 'native')} 1 k
                }
                assert_error {READONLY*} {$replica numa release}
            }

            test {a paused master holds a conversion back until it goes on} {
                $master numa.set paused v
                $master client pause 300 write
                set before [clock milliseconds]
                assert_equal {OK} [$master numa convert paused native]
                assert_morethan [expr {[clock milliseconds] - $before}] 150
                same_data $master $replica
                assert_equal {string} [$replica type paused]
            }

            test {moves are not sent, and a write from the master leaves a value where it is} {
                $replica numamigrate key k 2
                wait_for_ofs_sync $master $replica
                $replica config resetstat
                $master numamigrate key k 1
                $master numamigrate keys 0 k b
                $master numamigrate db 1
                after 100
                $master numa.append k 7
                same_data $master $replica
                assert_equal 0 [string match *cmdstat_numamigrate* [$replica info commandstats]]
                assert_equal 2 [numa_pair [$replica numamigrate info k] current_node]
            }

            test {NUMA CONVERT converts on the replica too, its time to live kept} {
                $master numa.set k v pxat 4102444800123
                foreach {plane type} {native string numa numa-strg} {
                    $master numa convert k $plane
                    same_data $master $replica
                    assert_equal [list $type $type] [list [$master type k] [$replica type k]]
                    assert_range [runs_out_on $replica k] 4102444800121 4102444800125
                }
                assert_error {READONLY*} {$replica numa convert k native}
            }

            test {expiry is the master's: the replica shows it and waits for the DEL} {
                $master debug set-active-expire 0
                $master numa.set gone v px 50
                wait_for_ofs_sync $master $replica
                after 100
                assert_equal {} [$replica numa.get gone]
                assert_equal 1 [$replica exists k]
                $master numa.get gone
                same_data $master $replica
                $master debug set-active-expire 1
            }

            foreach load {disabled swapdb} {
                test "a second full sync, repl-diskless-load $load, under writes" {
                    $replica config set repl-diskless-load $load
                    $master config set repl-diskless-sync [expr {$load eq {swapdb} ? {yes} : {no}}]
                    $master config set rdb-key-save-delay 200
                    $replica replicaof no one
                    $replica numa.set own v
                    $master numa.set differs [expr {rand()}]
                    $replica replicaof $master_host $master_port
                    for {set i 0} {$i < 300} {incr i} {
                        $master numa.append key:[expr {$i % 200}] $i
                        $master numamigrate key key:[expr {$i % 200}] [expr {$i % 2}]
                    }
                    $master config set rdb-key-save-delay 0
                    wait_for_sync $replica
                    same_data $master $replica
                    assert_equal 0 [$replica exists own]
                    assert_equal 0 [numa_info numa_panics_caught]
                }
            }

            test {a promoted replica serves writes and hints of its own} {
                $replica replicaof no one
                assert_equal {OK} [$replica numa.set k v node 2]
                assert_equal 2 [numa_pair [$replica numamigrate info k] current_node]
                assert_error {ERR Target node 3*} {$replica numa.set k v node 3}
            }
        }
    }
}

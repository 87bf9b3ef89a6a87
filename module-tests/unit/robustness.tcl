# What goes wrong in the life of a server: kills, restarts, reloads, forks in the middle of moves,
# threads, clients that vanish, pauses, and nodes that are full. Nothing is lost, nothing crashes.
source [file join [file dirname [info script]] .. support numa.tcl]

# Fails unless the module is sound: no panic caught, no block freed twice.
proc assert_sound {} {
    assert_equal 0 [numa_info numa_panics_caught]
    assert_equal 0 [numa_info numa_pool_faults]
    assert_equal {PONG} [r ping]
}

# Ends the server as a power failure would, and starts it again.
proc kill_and_restart {} {
    set pid [srv 0 pid]
    exec kill -9 $pid
    # Gone, or a zombie that nobody has reaped.
    numa_wait 10 {[catch {exec cat /proc/$pid/stat} stat] || [string match {*) Z *} $stat]} "the end"
    restart_server 0 true false
    wait_done_loading r
}

# A digest of the keys key:0 to key:<count - 1>.
proc debug_digest_of {count} {
    set keys {}
    for {set at 0} {$at < $count} {incr at 7} {lappend keys key:$at}
    return [r debug digest-value {*}$keys]
}

# Starts a pass that moves all keys to the other node.
proc move_all {to} {
    catch {r numamigrate cancel}
    assert_equal {OK} [string range [r numamigrate db $to] 0 1]
}

tags {robustness} {
    start_numa_server {} {overrides {save {} appendonly yes appendfsync always}} {
        test {kill -9 under load: what was acknowledged before is there after a restart from the AOF} {
            assert_poured 20000 [numa_pour 0 10000 --bytes 300 "numa.set %k %v" "numa.append %k tail"]
            set digest [debug_digest_of 10000]
            set pipe [numa_pour_begin 0 1000 --prefix other: --bytes 300 "numa.set %k %v" "numa.incr n:%k"]
            move_all 1
            after 500
            kill_and_restart
            catch {numa_pour_end $pipe}
            assert_equal $digest [debug_digest_of 10000]
            assert_sound
        }

        test {an AOF rewrite during moves and writes, then kill -9} {
            move_all 1
            set pipe [numa_pour_begin 0 1000 --prefix other: --bytes 300 "numa.set %k %v" "del %k"]
            r bgrewriteaof
            waitForBgrewriteaof r
            move_all 0
            assert_equal 0 [dict get [numa_pour_end $pipe] errors]
            set digest [debug_digest_of 10000]
            set keys [r dbsize]
            kill_and_restart
            assert_equal $keys [r dbsize]
            assert_equal $digest [debug_digest_of 10000]
        }

        test {SIGTERM under load ends the server well, and the AOF holds everything} {
            set digest [debug_digest_of 10000]
            set pipe [numa_pour_begin 0 1000 --prefix other: --bytes 300 "numa.set %k %v"]
            after 200
            restart_server 0 true false
            wait_done_loading r
            catch {numa_pour_end $pipe}
            assert_equal $digest [debug_digest_of 10000]
            assert_sound
        }
    }

    start_numa_server {} {overrides {save {}}} {
        test {DEBUG RELOAD again and again while keys move} {
            assert_poured 5000 [numa_pour 0 5000 --bytes 500 "numa.set %k %v"]
            set digest [r debug digest]
            for {set round 0} {$round < 6} {incr round} {
                move_all [expr {$round % 2}]
                after 30
                r debug reload
                assert_equal $digest [r debug digest]
            }
            assert_sound
        }

        test {kill -9 and a restart from the RDB} {
            r save
            set digest [r debug digest]
            kill_and_restart
            assert_equal $digest [r debug digest]
        }

        test {BGSAVE during moves and frees holds the dataset of its moment} {
            r numaconfig set numa-move-during-fork yes
            r config set rdb-key-save-delay 200
            set digest [r debug digest]
            move_all 1
            r bgsave
            assert_poured 10000 [numa_pour 0 5000 --bytes 900 "numa.set %k %v" "unlink %k"]
            assert_poured 5000 [numa_pour 0 5000 --bytes 700 --prefix new: "numa.set %k %v"]
            r config set rdb-key-save-delay 0
            waitForBgsave r
            r numaconfig set numa-move-during-fork no
            kill_and_restart
            assert_equal $digest [r debug digest]
            assert_sound
        }

        test {FLUSHALL ASYNC racing writes and moves} {
            set pipes {}
            foreach prefix {a: b:} {
                lappend pipes [numa_pour_begin 0 3000 --prefix $prefix --bytes 2000 \
                    "numa.set %k %v" "numa.get %k"]
            }
            for {set round 0} {$round < 20} {incr round} {
                r flushall async
                move_all [expr {$round % 2}]
                after 20
            }
            foreach pipe $pipes {
                assert_equal 0 [dict get [numa_pour_end $pipe] errors]
            }
            r flushall
            numa_wait 10 {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes] == 0} "every block home"
            assert_sound
        }

        test {a client that vanishes in the middle of a command} {
            for {set round 0} {$round < 50} {incr round} {
                set fd [socket [srv 0 host] [srv 0 port]]
                fconfigure $fd -translation binary -buffering none
                puts -nonewline $fd "*3\r\n\$8\r\nnuma.set\r\n\$1\r\nk\r\n\$100000\r\n[string repeat x 5000]"
                close $fd
                set fd [socket [srv 0 host] [srv 0 port]]
                fconfigure $fd -translation binary -buffering none
                puts -nonewline $fd [string repeat "*2\r\n\$8\r\nnuma.get\r\n\$3\r\nbig\r\n" 20]
                close $fd
            }
            assert_equal 0 [r exists k]
            assert_sound
        }

        test {MONITOR, SLOWLOG and DEBUG SLEEP meet the module's commands} {
            set monitor [redis_deferring_client]
            $monitor monitor
            $monitor read
            r config set slowlog-log-slower-than 0
            r numa.set watched "a value"
            assert_match {*"numa.set" "watched" "a value"*} [$monitor read]
            assert_match {*numa.set watched*} [r slowlog get 5]
            r config set slowlog-log-slower-than 10000
            $monitor close
            set ticks [numa_info numa_ticks]
            r debug sleep 0.3
            numa_wait 5 {[numa_info numa_ticks] > $ticks + 5} "ticks after a sleep"
            assert_sound
        }

        test {CLIENT PAUSE WRITE during a background pass and a release: the server lives} {
            assert_poured 3000 [numa_pour 0 3000 --bytes 500 "numa.set %k %v"]
            r client pause 1500 write
            catch {r numamigrate db 1}
            after 300
            assert_equal 500 [string length [r numa.get key:7]]
            after 1500
            assert_equal {OK} [r numa.set after pause]
            r flushall
            assert_sound
        }
    }

    start_numa_server {} {overrides {save {} io-threads 4 io-threads-do-reads yes}} {
        test {io-threads with reads: many clients, every reply right} {
            set pipes {}
            foreach prefix {a: b: c: d: e: f:} {
                lappend pipes [numa_pour_begin 0 300 --prefix $prefix --bytes 1000 --pipeline 50 \
                    "numa.set %k %v" "numa.get %k" "numa.append %k x" "numa.strlen %k" "unlink %k"]
            }
            move_all 1
            after 1500
            foreach pipe $pipes {
                set result [numa_pour_end $pipe]
                assert_equal 0 [dict get $result errors] $result
            }
            assert_equal 0 [r dbsize]
            assert_sound
        }
    }

    start_numa_server {} {overrides {save {} databases 10000}} {
        test {ten thousand databases: keys in the last are found, moved, and ticks stay short} {
            r select 9999
            assert_equal {OK} [r numa.set last value]
            assert_equal {OK} [r numamigrate key last 1]
            assert_equal 1 [numa_node_of last]
            r numamigrate pattern l* 0
            numa_wait 20 {[numa_node_of last] == 0} "a pass in database 9999"
            r select 0
            assert_equal {OK} [r numa.set first value]
            after 1000
            assert_lessthan [numa_info numa_hold_usec_max] 20000
            r swapdb 0 9999
            assert_equal {value} [r numa.get last]
            r flushall
            r select 9
            assert_sound
        }
    }

    start_numa_server {numa-simulate 0:2097152:80,1:2097152:250:cpuless} {overrides {save {}}} {
        test {nodes of 2 MiB: OOM is an error reply, what was written stays, room returns} {
            set result [numa_pour 0 2000 --bytes 4000 "numa.set %k %v"]
            assert_match {OOM *} [dict get $result error]
            set keys [r dbsize]
            assert_equal $keys [expr {2000 - [dict get $result errors]}]
            assert_morethan $keys 500
            assert_equal 4000 [string length [r numa.get key:0]]
            assert_error {OOM *} {r numa.set key:0 [string repeat x 3000000]}
            assert_error {OOM *} {r numa.append key:0 [string repeat x 3000000]}
            assert_error {OOM *} {r numa.setrange key:0 3000000 x}
            assert_error {OOM *} {r numa.mset new:1 x new:2 [string repeat x 3000000]}
            assert_equal 4000 [string length [r numa.get key:0]]
            assert_equal 0 [r exists new:1 new:2]
            assert_equal $keys [r dbsize]
            move_all 1
            after 300
            assert_poured 500 [numa_pour 0 500 "unlink %k"]
            assert_poured 400 [numa_pour 0 400 --bytes 4000 --prefix again: "numa.set %k %v"]
            assert_sound
        }
    }
}

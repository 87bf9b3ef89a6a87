# A replica on a machine of another shape: the same data after mixed commands on all five types, with
# moves on both sides. Runs 100,000 commands; NUMA_TEST_OPERATIONS=1000000 in `make test-replicas`.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support twins.tcl]

set ::keys_each 40

proc key {type} {return $type:[upto $::keys_each]}
proc any_text {} {return [string repeat [pick {a b redis \x00}] [upto [pick {4 40 40 400 3000}]]]}
proc any_member {} {return m[upto [pick {20 2000}]]}
proc any_float {} {return [expr {[upto 4000] / 16.0 - 100}]}

# One command, or several that belong together; some answer an error, on both servers alike.
proc any_commands {} {
    switch [upto 24] {
        0 {list [list numa.set [key s] [any_text]]}
        1 {list [list numa.set [key s] [any_text] px [pick {1 20 5000}] get]}
        2 {list [list numa.set [key f] [any_float]]}
        3 {list [list numa.incrbyfloat [key f] [any_float]]}
        4 {list [list numa.append [key s] [any_text]] [list numa.setbit [key s] [upto 9000] 1]}
        5 {list [list numa.getex [key s] ex [pick {1 100}]] [list numa.getdel [key s]]}
        6 {list [list numa.hset [key h] [any_member] [any_text] [any_member] x]}
        7 {list [list numa.hincrbyfloat [key h] n [any_float]] [list numa.hdel [key h] [any_member]]}
        8 {list [concat numa.sadd [key u] [lmap i {1 2 3 4 5} {any_member}]]}
        9 {list [list numa.spop [key u] [upto 4]] [list numa.spop [key u]]}
        10 {list [list numa.sunionstore [key u] [key u] [key u]] [list numa.smove [key u] [key u] m1]}
        11 {list [list numa.zadd [key z] [any_float] [any_member] [upto 9] [any_member]]}
        12 {list [list numa.zincrby [key z] [any_float] [any_member]] [list numa.zpopmin [key z]]}
        13 {list [list numa.zunionstore [key z] 2 [key z] [key u]]}
        14 {list [list numa.rpush [key l] [any_text] [any_text]] [list numa.lpush [key l] [any_text]]}
        15 {list [list numa.lmove [key l] [key l] left right] [list numa.ltrim [key l] 0 400]}
        16 {list [list pexpire [key [pick {s h u z l}]] [pick {1 30 2000 900000 -1}]]}
        17 {list [list del [key [pick {s h u z l}]]] [list unlink [key [pick {h u z l}]]]}
        18 {list [list rename [key h] [key h]] [list copy [key z] [key z] replace]}
        19 {list multi [list numa.incrbyfloat [key f] 1.5] [list numa.spop [key u]] \
            [list numa.set [key s] x px 40] [list numa.hset [key h] a b] exec}
        20 {list [list eval {
            redis.call('numa.hincrbyfloat', KEYS[1], 'n', ARGV[1])
            return redis.call('numa.zincrby', KEYS[2], ARGV[1], 'scripted')
        } 2 [key h] [key z] [any_float]]}
        21 {list [list eval {
            redis.replicate_commands()
            local member = redis.call('numa.spop', KEYS[1])
            return member and redis.call('numa.rpush', KEYS[2], member)
        } 2 [key u] [key l]]}
        22 {any_convert}
        23 {list [list set [key native] [any_text]] [list sadd [key u] m1] [list lpush [key l] x]}
    }
}

proc any_convert {} {
    set key [key [pick {s f h u z l}]]
    if {[chance 10]} {return [list [list numa convert $key native]]}
    return [list [list numa convert $key numa]]
}

# Two clients that wait for what the others push.
proc wait_for_elements {waiters} {
    lassign $waiters lists zsets
    $lists [pick {numa.blpop numa.brpop}] [key l] [key l] 0.01
    $lists numa.blmove [key l] [key l] right left 0.01
    $zsets [pick {numa.bzpopmin numa.bzpopmax}] [key z] [key z] 0.01
}

proc answers {client count} {
    for {} {$count > 0} {incr count -1} {catch {$client read}}
}

# Where the keys of a server lie is changed, some in the background.
proc move_about {client batch nodes} {
    set keys [lmap i {1 2 3 4 5 6 7 8 9 10 11 12} {key [pick {s f h u z l}]}]
    catch {$client numamigrate keys [expr {$batch % $nodes}] {*}$keys}
    if {$batch % 10 == 0} {catch {$client numamigrate db [upto $nodes]}}
}

set by_itself {numa-auto-rebalance no numa-cpu-share 10}

tags {repl slow} {
    start_numa_server "[numa_two_nodes] numa-node-limit 0 4194304 $by_itself" {overrides {save {}}} {
        set master [srv 0 client]
        set address [list [srv 0 host] [srv 0 port]]
        start_numa_server "[numa_three_nodes] $by_itself" {overrides {save {}}} {
            set replica [srv 0 client]
            $replica replicaof {*}$address
            wait_for_sync $replica

            test {a replica of another shape has the same data after all kinds of commands} {
                expr {srand($::twins_seed)}
                set client [redis_deferring_client -1]
                set waiters [list [redis_deferring_client -1] [redis_deferring_client -1]]
                set done 0
                for {set batch 0} {$done < $::twins_operations} {incr batch} {
                    wait_for_elements $waiters
                    for {set sent 0} {$sent < 1000} {} {
                        foreach words [any_commands] {$client {*}$words; incr sent}
                    }
                    answers $client $sent
                    answers [lindex $waiters 0] 2
                    answers [lindex $waiters 1] 1
                    incr done [expr {$sent + 3}]
                    move_about $master $batch 2
                    move_about $replica $batch 3
                    if {$batch % 20 == 0} {wait_for_ofs_sync $master $replica}
                }
                # A key that ran out is there until it is found.
                numa_wait 60 {[$master debug digest] eq [$replica debug digest]} {equal digests}
                foreach waiter [list $client {*}$waiters] {$waiter close}
            }

            test {and both have moved keys, and nothing was caught} {
                set moves {}
                foreach level {-1 0} {
                    assert_equal 0 [numa_info numa_panics_caught $level]
                    lappend moves [numa_info numa_migrations $level]
                }
                assert_morethan [lindex $moves 0] 100
                assert_morethan [lindex $moves 1] 100
                assert_morethan [$master dbsize] 100
                assert_equal [$master dbsize] [$replica dbsize]
                set errors [numa_log_count {*CRITICAL*}]
                assert_equal 0 $errors
                puts "\[note\]: seed $::twins_seed: $done commands, moves on the master\
                    [lindex $moves 0], on the replica [lindex $moves 1]"
            }
        }
    }
}

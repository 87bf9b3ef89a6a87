# The order of an upgrade and of its way back: the module comes to the replicas first, and leaves
# after RELEASE. What the other order brings, each server's log says.
source [file join [file dirname [info script]] .. support numa.tcl]
source [file join [file dirname [info script]] .. support golden.tcl]

proc follow {replica level} {
    $replica replicaof [srv $level host] [srv $level port]
}

proc same_data {one other} {
    numa_wait 30 {[$one debug digest] eq [$other debug digest]} {equal digests}
}

proc fill_native {client} {
    for {set i 0} {$i < 100} {incr i} {
        $client set s:$i $i
        $client hset h:$i a $i b $i
        $client rpush l:$i 1 2 3
        $client sadd u:$i x y
        $client zadd z:$i 1 a 2 b
    }
}

set quick {save {} repl-diskless-sync-delay 0}

start_server [list overrides $quick] {
    set old [srv 0 client]
    fill_native $old
    start_numa_server [numa_two_nodes] [list overrides $quick] {
        set new [srv 0 client]

        test {upgrade: a replica with the module follows a master without} {
            follow $new -1
            wait_for_sync $new
            $old set later x
            wait_for_ofs_sync $old $new
            same_data $old $new
        }

        test {upgrade: promoted, it takes NUMA writes, and a second one follows} {
            $new replicaof no one
            for {set i 0} {$i < 50} {incr i} {assert_equal OK [$new numa convert h:$i numa]}
            $new numa.set only numa
            start_numa_server [numa_three_nodes] [list overrides $quick] {
                set second [srv 0 client]
                follow $second -1
                wait_for_sync $second
                $new numa.rpush list a b c
                wait_for_ofs_sync $new $second
                same_data $new $second
                assert_equal numa-hash [$second type h:7]
            }
        }

        start_server [list overrides $quick] {
            set stock [srv 0 client]

            test {a server without the module cannot load NUMA keys: it ends, and says why} {
                follow $stock -1
                numa_wait 30 {![process_is_alive [srv 0 pid]]} {the end}
                assert_equal 1 [numa_log_count "*module data I can't load*numa-*"]
                assert_equal numa [$new numa.get only]
            }
        }

        start_server [list overrides $quick] {
            set stock [srv 0 client]

            test {downgrade: after RELEASE it follows, and takes over} {
                $new numa release
                numa_wait 20 {[numa_pair [$new numa status] last_pass_end] eq {done}} {the release}
                assert_equal 0 [numa_pair [$new numa status] last_pass_failed]
                follow $stock -1
                wait_for_sync $stock
                same_data $new $stock
                assert_equal {a b c} [$stock lrange list 0 -1]
            }

            test {a NUMA write that reaches a replica without the module is reported there} {
                $new numa.set lost x
                wait_for_ofs_sync $new $stock
                numa_wait 20 {[numa_log_count {*CRITICAL*unknown command*}] > 0} {the report}
                assert_equal 0 [$stock exists lost]
                $stock replicaof no one
                $stock rpush list d
                assert_equal 4 [$stock llen list]
            }
        }
    }
}

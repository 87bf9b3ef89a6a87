# What a hostile or unlucky client, server or moment could do to the module.
source [file join [file dirname [info script]] .. support numa.tcl]

tags {hardening} {
    start_numa_server {} {} {
        test {COMMAND GETKEYS with too few words finds no key and harms nobody} {
            foreach words {
                {numa} {numa convert} {numa migrate} {numa migrate key} {numa migrate keys 0}
                {numamigrate} {numamigrate key} {numamigrate info} {numamigrate keys 0}
                {numa.stralgo} {numa.stralgo lcs keys a}
            } {
                assert_error {*} {r command getkeys {*}$words}
                assert_equal {PONG} [r ping]
            }
            assert_equal {k} [r command getkeys numa convert k native]
            assert_equal {a b} [r command getkeys numamigrate keys 1 a b]
            assert_equal {a b} [r command getkeys numa.stralgo lcs keys a b]
        }

        test {a user bound to some keys may send too few words} {
            r acl setuser bound on >secret +@all ~mine:*
            set bound [redis_client]
            $bound auth bound secret
            foreach words {{numa} {numa convert} {numamigrate} {numamigrate key} {numa.stralgo}} {
                assert_error {*} {$bound {*}$words}
            }
            assert_error {NOPERM*} {$bound numamigrate key other 1}
            assert_equal {PONG} [$bound ping]
            $bound close
        }

        test {NODE moves a value that is set anew, heat kept} {
            foreach {first second} {0 1 1 0} {
                r del k
                r numa.set k old node $first
                for {set i 0} {$i < 5} {incr i} {r numa.get k}
                set before [numa_pair [r numamigrate info k] access_count]
                assert_equal {OK} [r numa.set k new node $second]
                assert_equal $second [numa_node_of k]
                assert_equal {new} [r numa.get k]
                assert_morethan [numa_pair [r numamigrate info k] access_count] $before
            }
        }

        test {STRALGO refuses strings whose table no machine holds} {
            set long [string repeat x 30000000]
            foreach words {{} len idx} {
                assert_error {ERR Insufficient memory*} {
                    r numa.stralgo lcs {*}$words strings $long $long
                }
            }
            assert_equal {PONG} [r ping]
        }

        test {a release waits while writes are paused, and forgets no key} {
            r flushall
            r eval {
                for i = 1, 5000 do redis.call('numa.set', 'k' .. i, i) end
            } 0
            assert_equal {OK} [r numa release]
            r client pause 400 write
            numa_wait 30 {[numa_pair [r numa status] last_pass] eq {RELEASE}} {the release}
            assert_equal 0 [numa_pair [r numa status] last_pass_failed]
            assert_equal 5000 [numa_pair [r numa status] last_pass_moved]
            assert_equal {string} [r type k5000]
        }

        test {reads do not copy the dataset for a child of the server} {
            r flushall
            r eval {
                for i = 1, 100000 do
                    redis.call('numa.set', 'k' .. i, string.rep('v', 100))
                end
            } 0
            r config set rdb-key-save-delay 50
            r bgsave
            r eval {
                for i = 1, 100000 do redis.call('numa.get', 'k' .. i) end
            } 0
            set before [numa_pair [r numamigrate info k1] access_count]
            r numa.get k1
            assert_equal $before [numa_pair [r numamigrate info k1] access_count]
            r config set rdb-key-save-delay 0
            waitForBgsave r
            assert_lessthan [s rdb_last_cow_size] 8000000
            r numa.get k1
            assert_morethan [numa_pair [r numamigrate info k1] access_count] $before
        }
    }

    start_numa_server [numa_three_nodes] {} {
        start_numa_server {} {} {
            test {a script's NODE is no error on a replica that lacks the node} {
                r replicaof [srv -1 host] [srv -1 port]
                wait_for_sync r
                r -1 config set lua-replicate-commands no
                r -1 eval {
                    redis.call('numa.set', KEYS[1], 'v', 'NODE', 2)
                    return redis.call('numa.set', KEYS[2], 'w', 'NODE', 2)
                } 2 a b
                wait_for_ofs_sync [srv -1 client] [srv 0 client]
                assert_equal {v w} [r numa.mget a b]
            }
        }

        test {a release stops where the server becomes a replica} {
            # A replica's keys are as the master says, the types of them too.
            r flushall
            r eval {
                for i = 1, 5000 do redis.call('numa.set', 'k' .. i, i) end
            } 0
            assert_equal {OK} [r numa release]
            r replicaof 127.0.0.1 1
            set count_natives {
                local natives = 0
                for i = 1, 5000 do
                    if redis.call('type', 'k' .. i).ok == 'string' then natives = natives + 1 end
                end
                return natives
            }
            set natives [r eval $count_natives 0]
            assert_lessthan $natives 5000
            after 300
            assert_equal $natives [r eval $count_natives 0]
            r replicaof no one
            after 300
            assert_equal $natives [r eval $count_natives 0] "ended, not only paused"
            assert_equal {OK} [r numa release]
            numa_wait 30 {[r eval $count_natives 0] == 5000} {a release on a master again}
        }
    }

    start_numa_server {} {overrides {save {} repl-diskless-sync-delay 0}} {
        set master [srv 0 client]
        set limits {numa-node-limit 0 1mb numa-node-limit 1 1mb}
        start_numa_server [numa_args $limits] {overrides {save {}}} {
            set replica [srv 0 client]

            test {limits of a replica refuse a client's write, never its master's} {
                set big [string repeat x 100000]
                for {set i 0} {$i < 30} {incr i} {catch {$replica numa.set own:$i $big} reply}
                assert_match {OOM*} $reply
                for {set i 0} {$i < 20} {incr i} {$master numa.set before:$i $big}
                $replica replicaof [srv -1 host] [srv -1 port]
                wait_for_sync $replica
                for {set i 0} {$i < 20} {incr i} {$master numa.set after:$i $big}
                $master numa.mset a $big b $big
                wait_for_ofs_sync $master $replica
                assert_equal 42 [$replica dbsize]
                assert_equal [$master debug digest] [$replica debug digest]
            }

            test {what a limited replica saved, it loads again} {
                assert_equal {OK} [$replica debug reload]
                assert_equal [$master debug digest] [$replica debug digest]
                $replica replicaof no one
                assert_error {OOM*} {$replica numa.set more $big}
            }
        }
    }
}

# A stock command that was renamed away is one that the module cannot run either.
start_numa_server [numa_args transparent-types\ all] {overrides {rename-command {ACL none}}} {
    test {a server whose ACL is renamed lives, and its plain commands stay plain} {
        numa_wait 20 {[numa_log_count {*switched off: *is ACL renamed*}] == 1} "the log's line"
        r set k v
        assert_equal embstr [r object encoding k]
        assert_error {ERR *is ACL renamed*} {r numaconfig set transparent_types string}
        r numaconfig set transparent_acl_accepted yes
        r numaconfig set transparent_types string
        r set n v
        assert_equal numa [numa_pair [r numamigrate info n] plane]
    }
}

foreach {renamed make} {
    LRANGE {rpush k a b} GET {set k v} SCAN {set k v} TYPE {set k v}
} {
    set options [list overrides [list rename-command "$renamed none"]]
    start_numa_server {} $options {
        test "a server whose $renamed is renamed loses no value" {
            r {*}$make
            set before [r debug digest-value k]
            catch {r numa convert k numa}
            catch {r numa convert k native}
            assert_equal $before [r debug digest-value k]
            catch {r numa.scan 0 type string}
            catch {r numa.type k}
            assert_equal {PONG} [r ping]
        }
    }
}

# What must hold on every server that takes the module, not on stock Redis 6.2 alone: make
# test-servers runs this file on Redis 7, on Valkey 8 and on a server without jemalloc.
source [file join [file dirname [info script]] .. support numa.tcl]

# A field of the server's own INFO; empty where it has none.
proc server_field {name} {
    set found {}
    regexp -line "^$name:(\[^\r\n\]*)" [r info server][r info memory] -> found
    return $found
}

# Why the native plane must be off on this server; none where it must be on.
proc native_refusal {} {
    if {[string match libc* [server_field mem_allocator]]} {
        return "the server's allocator is [server_field mem_allocator], not jemalloc"
    }
    if {[server_field valkey_version] ne {}} {
        return {the insides of Valkey are not known to this version}
    }
    if {![string match 6.2.* [server_field redis_version]]} {
        return "the insides of Redis [server_field redis_version] are not known to this version"
    }
    return none
}

# Keys of each type on both planes, and what they hold.
proc fill_both {} {
    r set native:string [string repeat v 400]
    r numa.set numa:string [string repeat v 400]
    for {set i 0} {$i < 300} {incr i} {
        foreach {prefix plane} {{} native numa. numa} {
            r ${prefix}rpush $plane:list "element $i"
            r ${prefix}sadd $plane:set "member $i"
            r ${prefix}zadd $plane:zset $i "member $i"
            r ${prefix}hset $plane:hash "field $i" "value $i"
        }
    }
}

proc contents {plane {level 0}} {
    set prefix [expr {$plane eq {numa} ? {numa.} : {}}]
    return [list \
        [r $level ${prefix}get $plane:string] [r $level ${prefix}lrange $plane:list 0 -1] \
        [lsort [r $level ${prefix}smembers $plane:set]] \
        [r $level ${prefix}zrange $plane:zset 0 -1 withscores] \
        [lsort [r $level ${prefix}hgetall $plane:hash]]]
}

set types {string list set zset hash}
set still {numa-native-keys manage numa-composite-lru-auto-migrate-enabled no}

start_numa_server [numa_args $still] {} {
    test {the native plane works, or says in the log, INFO and DOCTOR why not} {
        set reason [native_refusal]
        assert_equal $reason [numa_info numa_native_reason]
        if {$reason eq {none}} {
            assert_equal on [numa_info numa_native_plane]
        } else {
            assert_equal off [numa_info numa_native_plane]
            assert_equal 1 [numa_log_count "*native keys are left alone: $reason"]
            assert_match "*native keys are not placed: $reason*" [r numa doctor]
        }
    }

    test {a native key is moved where the plane is on, and refused where it is off} {
        fill_both
        set before [contents native]
        foreach type $types {
            set moved [catch {r numamigrate key native:$type 1} reply]
            if {[native_refusal] eq {none}} {
                assert_equal {OK 1} [list $reply [numa_node_of native:$type]]
            } else {
                assert_equal 1 $moved
                assert_match {ERR Unsupported key type for migration} $reply
                assert_error {ERR*} {r numa explain native:$type}
            }
        }
        assert_equal $before [contents native]
    }

    test {NUMA keys of every type go far and back, content and time to live kept} {
        set before [contents numa]
        foreach type $types {r pexpire numa:$type 1000000}
        foreach node {1 0 1} {
            foreach type $types {
                assert_equal OK [r numamigrate key numa:$type $node]
                numa_wait 10 {[numa_node_of numa:$type] == $node} "numa:$type on node $node"
            }
            assert_equal $before [contents numa]
        }
        foreach type $types {assert_range [r pttl numa:$type] 900000 1000000}
    }

    test {slot 1 brings a hot NUMA key home} {
        r numaconfig set composite-lru-auto-migrate-enabled yes
        r numa.set hot [string repeat v 400] node 1
        assert_equal 1 [numa_node_of hot]
        numa_wait 30 {[assert_poured 2000 [numa_pour 0 2000 "NUMA.GET hot"]] eq {} &&
            [numa_node_of hot] == 0} "the hot key to come home"
        assert {[numa_info numa_slot1_moves] > 0}
    }

    test {scripts, transactions and blocking commands reach NUMA keys} {
        set script {return redis.call('numa.get', KEYS[1])}
        assert_equal [r numa.get numa:string] [r eval $script 1 numa:string]
        r multi
        r numa.incr counter
        r numa.incr counter
        assert_equal {1 2} [r exec]
        set waiting [redis_deferring_client]
        $waiting numa.blpop queue 30
        wait_for_blocked_client
        r numa.rpush queue element
        assert_equal {queue element} [$waiting read]
        $waiting close
    }

    test {COMMAND tells keys, arity and flags} {
        assert_equal {a b} [r command getkeys numa.mset a 1 b 2]
        foreach {name flag} {numa.get readonly numa.set write numa.hset denyoom} {
            lassign [lindex [r command info $name] 0] told arity flags first last step
            assert_equal [list $name 1 1 1] [list $told $first $last $step]
            assert {$flag in $flags}
        }
    }

    test {a user may be given single NUMA commands and keys} {
        r acl setuser app on >password resetkeys ~app:* -@all +numa.get +numa.set
        set app [redis [srv host] [srv port] 0 $::tls]
        $app auth app password
        assert_equal OK [$app numa.set app:key value]
        assert_equal value [$app numa.get app:key]
        assert_error {NOPERM*} {$app numa.get other:key}
        assert_error {NOPERM*} {$app numa.hset app:hash field value}
        assert_error {NOPERM*} {$app numa info}
        if {![catch {r acl setuser app resetkeys %R~app:*}]} {
            # Later servers know keys that may only be read. They are not told what a command does
            # with its keys, so such a pattern fits none.
            assert_error {NOPERM*} {$app numa.get app:key}
        }
        $app close
        r acl deluser app
    }

    test {used_memory follows NUMA values, up and down} {
        set before [numa_used]
        for {set i 0} {$i < 1000} {incr i} {r numa.set big:$i [string repeat v 4000]}
        assert_range [expr {[numa_used] - $before}] 4000000 5500000
        for {set i 0} {$i < 1000} {incr i} {r unlink big:$i}
        numa_wait 10 {[numa_used] - $before < 500000} "used_memory to fall"
    }

    test {files hold both planes: RDB, and AOF rewritten either way} {
        set before [list [contents native] [contents numa]]
        r debug reload
        assert_equal $before [list [contents native] [contents numa]]
        r config set appendonly yes
        waitForBgrewriteaof r
        foreach preamble {yes no} {
            r config set aof-use-rdb-preamble $preamble
            r bgrewriteaof
            waitForBgrewriteaof r
            r debug loadaof
            assert_equal $before [list [contents native] [contents numa]]
        }
        r config set appendonly no
    }

    test {a replica gets both planes} {
        start_numa_server {} {} {
            r replicaof [srv -1 host] [srv -1 port]
            wait_for_sync r
            r -1 numa.set late written
            wait_for_ofs_sync r [srv -1 client]
            assert_equal written [r numa.get late]
            foreach plane {native numa} {
                assert_equal [contents $plane -1] [contents $plane]
            }
        }
    }

    test {plain commands act on NUMA types where that is wanted} {
        r numaconfig set transparent-types all
        foreach {command arguments} {set {plain v} hset {plain:h f v} rpush {plain:l e}} {
            r $command {*}$arguments
            set key [lindex $arguments 0]
            assert_equal numa [numa_pair [r numamigrate info $key] plane]
        }
        assert_equal {v v e} [list [r get plain] [r hget plain:h f] [r lindex plain:l 0]]
        assert_equal string [r type plain]
        r numaconfig set transparent-types none
    }

    test {RELEASE gives every NUMA key back, and the file loads without the module} {
        r flushall async
        numa_wait 10 {[numa_info numa_node0_used_bytes] + [numa_info numa_node1_used_bytes] == 0} \
            "every block to be back"
        fill_both
        set before [contents numa]
        r numa release
        numa_wait 30 {[numa_pair [r numa status] pass] eq {none}} "the release"
        foreach type $types {
            assert_equal $type [r type numa:$type]
            r rename numa:$type native:$type
        }
        assert_equal $before [contents native]
        assert_equal 0 [numa_info numa_panics_caught]
        r save
        set file [file join [lindex [r config get dir] 1] dump.rdb]
        start_server [list overrides [list dir [file dirname $file]]] {
            assert_equal $before [contents native]
        }
    }
}

# A native key moved by hand: where it lies changes, and nothing else.
source [file join [file dirname [info script]] .. support numa.tcl]

set native [numa_args {numa-native-keys observe}]

# One key of each encoding that has a block, by name.
proc native_fill {} {
    r set embstr "a short string"
    r set raw [string repeat x 3000]
    r set empty {}
    for {set i 0} {$i < 600} {incr i} {
        r rpush quicklist "element number $i"
        r sadd hashset "member $i"
        r zadd skiplist $i "member $i"
        r hset hashtable "field $i" "value $i"
    }
    r sadd intset 1 2 3
    r zadd ziplistzset 1.5 a 2 b
    r hset ziplisthash a b c d
    r xadd stream * a b
    r xgroup create stream group 0
    r xreadgroup group group consumer streams stream >
    return {embstr raw empty quicklist hashset skiplist hashtable intset ziplistzset ziplisthash stream}
}

proc native_encodings {keys} {
    set found {}
    foreach key $keys {lappend found [r object encoding $key]}
    return $found
}

start_numa_server $native {} {
    test {the plane is on where the server is stock Redis 6.2} {
        assert_equal on [numa_info numa_native_plane]
        assert_equal none [numa_info numa_native_reason]
    }

    test {a native key of each encoding goes far and back, its content and encoding unchanged} {
        set keys [native_fill]
        set digest [r debug digest]
        set encodings [native_encodings $keys]
        foreach node {1 0 1 0} {
            foreach key $keys {
                assert_equal OK [r numamigrate key $key $node]
                assert_equal $node [numa_node_of $key]
                assert_equal native [numa_pair [r numamigrate info $key] plane]
            }
            assert_equal $digest [r debug digest]
            assert_equal $encodings [native_encodings $keys]
        }
        assert_equal {name group consumers 1 pending 1} \
            [lrange [lindex [r xinfo groups stream] 0] 0 5]
    }

    test {a moved key can be changed in place in every way} {
        foreach key {raw quicklist hashset skiplist hashtable intset ziplistzset ziplisthash stream} {
            r numamigrate key $key 1
        }
        r append raw y
        r setrange raw 10 zzz
        r lpush quicklist first
        r ltrim quicklist 0 300
        r sadd hashset another
        r spop hashset
        r zincrby skiplist 3 {member 5}
        r hdel hashtable {field 1}
        r sadd intset text
        r zadd ziplistzset 3 [string repeat z 100]
        r hset ziplisthash a [string repeat z 100]
        r xadd stream * c d
        assert_equal 3001 [r strlen raw]
        assert_equal first [r lindex quicklist 0]
        assert_equal 301 [r llen quicklist]
        assert_equal 599 [r hlen hashtable]
        assert_equal 4 [r scard intset]
        assert_equal 2 [r xlen stream]
    }

    test {a number has no block of its own, and says so} {
        r set number 1234567890
        assert_error "ERR A number has no block of its own to move" {r numamigrate key number 1}
        assert_equal int [r object encoding number]
    }

    test {a value that would hold the server for too long stays and says so} {
        r setrange big 8000000 x
        assert_error "ERR The value is too big*" {r numamigrate key big 1}
        assert_equal 0 [numa_node_of big]
        assert_equal 8000001 [r strlen big]
        r del big
    }

    test {KEYS counts native keys, and PATTERN and DB move them in the background} {
        r flushall
        set keys [native_fill]
        r set number 12
        assert_equal {moved 11 skipped 1 failed 1} \
            [r numamigrate keys 1 {*}$keys number nokey]
        r numamigrate pattern hash* 0
        numa_wait 10 {[numa_node_of hashset] == 0 && [numa_node_of hashtable] == 0} "the pattern"
        assert_equal 1 [numa_node_of raw]
        set digest [r debug digest]
        numa_wait 10 {[catch {r numamigrate db 0}] == 0} "the pattern pass to end"
        foreach key $keys {
            numa_wait 10 {[numa_node_of $key] == 0} "$key to come home"
        }
        assert_equal $digest [r debug digest]
    }
}

start_numa_server $native {overrides {notify-keyspace-events KEA}} {
    test {a move gives no event and aborts no transaction} {
        set keys [native_fill]
        set other [redis_deferring_client]
        $other psubscribe *
        $other read
        r watch {*}$keys
        foreach key $keys {r numamigrate key $key 1}
        r multi
        r ping
        assert_equal PONG [r exec]
        r publish end end
        assert_equal {pmessage * end end} [$other read]
        $other close
    }

    test {a move drops nothing from client-side caches} {
        r select 9
        r set cached value
        set other [redis_client]
        $other client id
        r hello 3
        r client tracking on
        r get cached
        $other numamigrate key cached 1
        $other set end 1
        # A dropped entry would come as a push in front of this reply.
        assert_equal value [r get cached]
        r client tracking off
        r hello 2
        assert_equal 1 [numa_node_of cached]
        $other close
    }

    test {a move is no change to be saved} {
        set before [s rdb_changes_since_last_save]
        r numamigrate key raw 0
        r numamigrate key embstr 0
        assert_equal $before [s rdb_changes_since_last_save]
    }

    test {time to live stays to the millisecond, and an expired key is not touched} {
        set at [expr {[clock milliseconds] + 1000000}]
        foreach key {embstr raw hashset} {
            r pexpireat $key $at
            r numamigrate key $key 0
            r numamigrate key $key 1
            assert_range [expr {[clock milliseconds] + [r pttl $key] - $at}] -50 50
        }
        r debug set-active-expire 0
        r set gone value px 1
        after 5
        assert_error "ERR Key not found" {r numamigrate key gone 1}
        set expired [s expired_keys]
        assert_error "ERR Key not found" {r numamigrate info gone}
        assert_equal $expired [s expired_keys]
        assert_equal {} [r get gone]
        r debug set-active-expire 1
    }
}

foreach {policy proof} {allkeys-lru idletime allkeys-lfu freq} {
    start_numa_server $native [list overrides [list maxmemory-policy $policy]] {
        test "the stamp of use stays as it is under $policy" {
            foreach key {embstr raw} text [list short [string repeat x 100]] {
                r set $key $text
                if {$proof eq "idletime"} {
                    r restore $key 0 [r dump $key] replace idletime 1000
                } else {
                    r restore $key 0 [r dump $key] replace freq 77
                }
                r numamigrate key $key 1
                assert_equal 1 [numa_node_of $key]
                r numamigrate key $key 0
                if {$proof eq "idletime"} {
                    assert_range [r object idletime $key] 1000 1010
                } else {
                    assert_equal 77 [r object freq $key]
                }
            }
        }
    }
}

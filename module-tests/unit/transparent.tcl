# numa-transparent-types: clients' plain commands on NUMA types.
source [file join [file dirname [info script]] .. support numa.tcl]

# Which plane a key is on, by what it can be converted to.
proc plane_of {key} {return [numa_pair [r numamigrate info $key] plane]}
proc is_native {key} {return [catch {plane_of $key}]}

start_numa_server [numa_args {numa-transparent-types all}] {overrides {save {}}} {
    # The first tick switches it on.
    numa_wait 5 {[r set probe x] eq {OK} && ![is_native probe]} {plain commands on NUMA types}

    test {plain commands make NUMA values, and TYPE answers the stock names} {
        r hset h f v
        r sadd s a
        r rpush l a
        r zadd z 1 a
        r eval {return redis.call('set', KEYS[1], 'x')} 1 scripted
        r multi
        r set queued x
        r exec
        foreach {key type} {probe string h hash s set l list z zset scripted string queued string} {
            assert_equal numa [plane_of $key] $key
            assert_equal $type [r type $key]
        }
        assert_equal {h} [lindex [r scan 0 type hash count 1000] 1]
        assert_equal {probe queued scripted} [lsort [lindex [r scan 0 type string count 1000] 1]]
        assert_equal {} [lindex [r scan 0 match x* type set count 1000] 1]
        assert_error {ERR invalid cursor} {r scan x type set}
        assert_error {ERR syntax error} {r scan 0 type}
        assert_equal [r scan 0 match h count 1000] [r numa.scan 0 match h count 1000]
        assert_equal 7 [llength [lindex [r scan 0 count 1000] 1]]
    }

    test {errors name the command that the client wrote} {
        assert_error {ERR wrong number of arguments for 'hset' command} {r hset h f v g}
        assert_error {ERR invalid expire time in setex} {r setex k 0 v}
        assert_error {ERR syntax error} {r set k v node 1}
        assert_error {WRONGTYPE *} {r get h}
    }

    test {a native key stays native, and a command on both kinds converts} {
        r flushall
        foreach {key words} {nh {hset f v} ns {sadd a b} nl {rpush a b c} nz {zadd 1 a} nt {set text}} {
            r [lindex $words 0] $key {*}[lrange $words 1 end]
            assert_equal OK [r numa convert $key native]
        }
        assert_equal 1 [r hset nh g w]
        assert_equal {f v g w} [r hgetall nh]
        assert_equal OK [r set nt other]
        assert_equal other [r get nt]
        assert_equal 4 [r rpush nl d]
        foreach key {nh ns nl nz nt} {assert_equal 1 [is_native $key] $key}
        assert_error {WRONGTYPE *} {r lpush nh x}
        r set numa text
        assert_equal {other text {}} [r mget nt numa missing]
        assert_equal 1 [is_native nt]
        r sadd numa:set b c
        assert_equal {b} [r sinter ns numa:set]
        assert_equal 1 [is_native ns]
        r rpush numa:list z
        assert_equal a [r lmove nl numa:list left right]
        assert_equal {z a} [r lrange numa:list 0 -1]
        assert_equal numa [plane_of nl]
    }

    test {SORT, GEO and PF commands make a key native first, and say so} {
        r flushall
        r rpush list 3 1 2
        assert_equal {1 2 3} [r sort list]
        assert_equal 1 [is_native list]
        verify_log_message 0 "*sort made the NUMA key 'list' a native one*" 0
        r zadd geo 3479099956230698 Palermo
        assert_equal 1 [llength [r geopos geo Palermo]]
        assert_equal 1 [r pfadd hll a]
        assert_equal 1 [r pfcount hll]
        r set text x
        assert_error {WRONGTYPE *} {r pfadd text a}
    }

    test {SORT, GEO and PF commands leave keys alone that they cannot read or only overwrite} {
        r flushall
        r hset hash f v
        r rpush list 3 1 2
        r rpush other x
        r zadd zset 1 a
        foreach words {
            {sort hash} {pfadd list x} {pfcount zset} {geoadd list 1 1 m} {geopos hash m}
            {georadius list 1 1 1 m store other} {geosearchstore other list frommember m byradius 1 m}
        } {
            assert_error {WRONGTYPE *} {r {*}$words}
        }
        foreach key {hash list other zset} {assert_equal numa [plane_of $key] $key}
        assert_equal 3 [r sort list store other]
        assert_equal {1 2 3} [r lrange other 0 -1]
    }

    test {it is refused while an ACL user is restricted by command, and ends when one is made} {
        r flushall
        r acl setuser bob on nopass ~* -@all +get
        numa_wait 5 {[r set k v] eq {OK} && [is_native k]} {plain commands on native keys}
        verify_log_message 0 {*switched off*bob*} 0
        r numaconfig set transparent_types none
        assert_error {ERR transparent_types would let ACL user 'bob'*} {
            r numaconfig set transparent_types all
        }
        assert_equal none [lindex [r numaconfig get transparent_types] 1]
        r numaconfig set transparent_acl_accepted yes
        assert_equal OK [r numaconfig set transparent_types string]
        r set accepted v
        assert_equal numa [plane_of accepted]
        r hset h f v
        assert_equal 1 [is_native h]
        r acl deluser bob
    }

    test {switched off, plain commands are stock ones again} {
        r numaconfig set transparent_types none
        r set plain v
        assert_equal 1 [is_native plain]
        assert_equal numa-strg [r type accepted]
        assert_error {WRONGTYPE *} {r get accepted}
    }
}

start_numa_server [numa_args {numa-transparent-types all}] {overrides {save {} repl-diskless-sync-delay 0}} {
    set master [srv 0 client]
    set host [srv 0 host]
    set port [srv 0 port]
    numa_wait 5 {[r set probe x] eq {OK} && ![is_native probe]} {plain commands on NUMA types}
    start_numa_server [numa_args {numa-transparent-types all}] {overrides {save {}}} {
        test {a replica holds on each plane what its master holds there} {
            set replica [srv 0 client]
            $replica replicaof $host $port
            wait_for_sync $replica
            $master rpush native a b
            $master numa convert native native
            $master rpush native c
            $master hset numa f v
            $master sort native alpha store sorted
            wait_for_ofs_sync $master $replica
            assert_equal [$master debug digest] [$replica debug digest]
            assert_equal {a b c} [$replica lrange native 0 -1]
            assert_equal {v} [$replica hget numa f]
        }
    }
}

# maxmemory: eviction of NUMA strings keeps as many keys as stock does, noeviction says OOM where
# stock does, and near pressure costs no key while the far node has room (design D14).
source [file join [file dirname [info script]] .. support numa.tcl]

set ::room "numa-simulate 0:1073741824:80,1:1073741824:250:cpuless"
set ::budget [expr {100 * 1024 * 1024}]

# Writes 60,000 values of 4 KB at 100 MB and answers the keys kept and what each costs, in bytes.
proc kept {command policy args} {
    r flushall
    r config set maxmemory-policy $policy
    set used [numa_used]
    assert_poured 2000 [numa_pour 0 2000 --bytes 4096 "$command %k %v $args"]
    set each [expr {([numa_used] - $used) / 2000.0}]
    r flushall
    r config set maxmemory $::budget
    assert_poured 60000 [numa_pour 0 60000 --bytes 4096 "$command %k %v $args"]
    set keys [r dbsize]
    assert_lessthan [numa_used] [expr {$::budget + 1048576}] $policy
    r config set maxmemory 0
    return [list $keys $each]
}

tags {eviction} {
    start_numa_server $::room {overrides {save {}}} {
        foreach {policy words} {
            allkeys-lru {} allkeys-lfu {} allkeys-random {} volatile-ttl {EX 1000}
        } {
            test "$policy: as many NUMA strings are kept as stock keeps at equal live bytes" {
                lassign [kept "set" $policy {*}$words] stock_keys stock_each
                lassign [kept "numa.set" $policy {*}$words] keys each
                set wanted [expr {$stock_keys * $stock_each / $each}]
                assert_range $keys [expr {int($wanted * 0.95)}] [expr {int($wanted * 1.05) + 1}]
            }
        }

        test {with lazyfree-lazy-eviction as many are kept} {
            r config set lazyfree-lazy-eviction yes
            lassign [kept set allkeys-lru] stock_keys stock_each
            lassign [kept numa.set allkeys-lru] keys each
            r config set lazyfree-lazy-eviction no
            set wanted [expr {$stock_keys * $stock_each / $each}]
            assert_range $keys [expr {int($wanted * 0.95)}] [expr {int($wanted * 1.05) + 1}]
        }

        test {noeviction: OOM comes where stock's comes, and a value that is there stays} {
            r config set maxmemory-policy noeviction
            set held {}
            foreach command {set numa.set} {
                r flushall
                set used [numa_used]
                numa_pour 0 2000 --bytes 4096 "$command %k %v"
                set each [expr {([numa_used] - $used) / 2000.0}]
                r flushall
                r config set maxmemory $::budget
                set result [numa_pour 0 30000 --bytes 4096 "$command %k %v"]
                assert_match {OOM command not allowed*} [dict get $result error]
                assert_equal [r dbsize] [expr {30000 - [dict get $result errors]}]
                lappend held [expr {[r dbsize] * $each}]
                # The client that poured has gone, and its buffers with it.
                r config set maxmemory [expr {[numa_used] - 1048576}]
                assert_error {OOM*} {r numa.set other x}
                assert_error {OOM*} {r numa.append key:1 x}
                assert_equal 4096 [string length [r [string map {set get} $command] key:1]]
                assert_equal 1 [r del key:1]
                r config set maxmemory 0
            }
            assert_range [lindex $held 1] [expr {[lindex $held 0] * 0.98}] [expr {[lindex $held 0] * 1.02}]
        }
    }

    start_numa_server [numa_two_nodes 16777216 268435456] {overrides {save {} maxmemory-policy allkeys-lru maxmemory 200mb}} {
        test {a full near node falls to the far one: no key is evicted, no error is answered} {
            assert_poured 25000 [numa_pour 0 25000 --bytes 4096 "numa.set %k %v"]
            assert_equal 25000 [r dbsize]
            assert_equal 0 [s evicted_keys]
            assert_lessthan [numa_info numa_node0_used_bytes] 16777217
            assert_morethan [numa_info numa_node0_fallbacks] 0
        }

        test {a near limit that is lowered under load evicts nothing and answers no error} {
            r numaconfig set numa-node-limit 0 8mb
            assert_poured 25000 [numa_pour 0 25000 --bytes 4096 "numa.set %k %v"]
            after 1500
            assert_equal 25000 [r dbsize]
            assert_equal 0 [s evicted_keys]
        }
    }
}

# The six placement policies: where 30,000 new keys go, read back key by key.
source [file join [file dirname [info script]] .. support numa.tcl]

set ::keys 30000

# Commands sent in one go; their replies.
proc pipelined {client count make} {
    set replies {}
    for {set from 0} {$from < $count} {incr from 1000} {
        set until [expr {min($from + 1000, $count)}]
        for {set i $from} {$i < $until} {incr i} {$client {*}[apply $make $i]}
        for {set i $from} {$i < $until} {incr i} {lappend replies [$client read]}
    }
    return $replies
}

# Empties the database and writes that many new keys under that policy.
proc write_new {policy count {size 16}} {
    r flushall
    r numaconfig set strategy $policy
    r numaconfig resetstat
    set client [redis_deferring_client]
    pipelined $client $count [list i "list numa.set key:\$i [string repeat v $size]"]
    $client close
}

# The node of each key, in order, as NUMAMIGRATE INFO says. redis_deferring_client is on db 9.
proc nodes_of {count} {
    set client [redis_deferring_client]
    set nodes {}
    foreach info [pipelined $client $count {i {list numamigrate info key:$i}}] {
        lappend nodes [lindex $info 3]
    }
    $client close
    return $nodes
}

# How many keys are on each node: a list for nodes 0, 1, 2.
proc spread_of {nodes} {
    set on {0 0 0}
    foreach node $nodes {lset on $node [expr {[lindex $on $node] + 1}]}
    return $on
}

proc written {policy {size 16}} {
    write_new $policy $::keys $size
    return [spread_of [nodes_of $::keys]]
}

# Both shares of the whole, in parts of it.
proc assert_shares {spread shares tolerance} {
    set total [expr [join $spread +]]
    foreach count $spread share $shares {
        set off [expr {abs(double($count) / $total - $share)}]
        if {$off > $tolerance} {fail "$spread is not $shares within $tolerance"}
    }
}

# Nothing moves by itself here: what is tested is where new bytes go.
proc still {more} {
    return "$more numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no"
}

tags {policies} {
    start_numa_server [still [numa_three_nodes]] {overrides {save ""}} {
        test {local_first: home} {
            assert_equal "$::keys 0 0" [written local_first]
        }

        test {interleaved: even by hash} {
            assert_shares [written interleaved] {0.3333 0.3333 0.3333} 0.01
        }

        test {interleaved: the same key goes to the same node, whatever came before} {
            write_new interleaved 2000
            set before [nodes_of 2000]
            r flushall
            r numa.set another value
            write_new interleaved 2000
            assert_equal $before [nodes_of 2000]
        }

        test {round_robin: the next node each time, so even to one key} {
            write_new round_robin $::keys
            set nodes [nodes_of $::keys]
            assert_equal {10000 10000 10000} [spread_of $nodes]
            foreach {a b c} [lrange $nodes 0 299] {
                assert_equal {0 1 2} [lsort [list $a $b $c]]
            }
        }

        test {weighted: 100, 50, 25 within 0.5 %} {
            foreach {node weight} {0 100 1 50 2 25} {r numaconfig set weight $node $weight}
            assert_shares [written weighted] {0.571429 0.285714 0.142857} 0.005
        }

        test {weighted: exact over a whole round, and a node of weight 0 gets nothing} {
            write_new weighted 1750
            assert_equal {1000 500 250} [spread_of [nodes_of 1750]]
            r numaconfig set weight 0 0
            write_new weighted 750
            assert_equal {0 500 250} [spread_of [nodes_of 750]]
            foreach node {0 1 2} {r numaconfig set weight $node 0}
            write_new weighted 100
            assert_equal 100 [expr [join [spread_of [nodes_of 100]] +]]
            foreach node {0 1 2} {r numaconfig set weight $node 100}
        }

        test {pressure_aware: the node with most free share, so nodes of one size fill evenly} {
            assert_shares [written pressure_aware 1000] {0.3333 0.3333 0.3333} 0.02
        }

        test {pressure_aware: a node half full gets nothing until the others are} {
            r flushall
            for {set i 0} {$i < 100} {incr i} {r numa.set big:$i [string repeat v 1000000] node 1}
            r numaconfig set strategy pressure_aware
            set client [redis_deferring_client]
            pipelined $client 1000 {i {list numa.set key:$i [string repeat v 1000]}}
            $client close
            set spread [spread_of [nodes_of 1000]]
            assert_equal 0 [lindex $spread 1]
            assert_range [lindex $spread 0] 400 600
        }

        test {cxl_optimized: small values near, others on the node without CPUs} {
            assert_equal "$::keys 0 0" [written cxl_optimized 1023]
            assert_equal "0 0 $::keys" [written cxl_optimized 1024]
        }

        test {cxl_optimized: the line is min_allocation_size, and 0 draws none} {
            r numaconfig set min_allocation_size 100
            write_new cxl_optimized 50 99
            assert_equal {50 0 0} [spread_of [nodes_of 50]]
            write_new cxl_optimized 50 100
            assert_equal {0 0 50} [spread_of [nodes_of 50]]
            r numaconfig set min_allocation_size 0
            write_new cxl_optimized 50 10000
            assert_equal {50 0 0} [spread_of [nodes_of 50]]
            r numaconfig set min_allocation_size 1024
        }

        test {cxl_optimization: small values keep off the node without CPUs} {
            r numaconfig set cxl_optimization yes
            foreach policy {round_robin interleaved weighted pressure_aware} {
                write_new $policy 300 100
                assert_equal 0 [lindex [spread_of [nodes_of 300]] 2] $policy
            }
            write_new round_robin 300 2000
            assert_equal {100 100 100} [spread_of [nodes_of 300]]
            r numaconfig set cxl_optimization no
        }

        test {a changed strategy holds for the next key, and moves none that is there} {
            write_new local_first 100
            r numaconfig set strategy round_robin
            set client [redis_deferring_client]
            pipelined $client 99 {i {list numa.set new:$i v}}
            assert_equal {100 0 0} [spread_of [nodes_of 100]]
            set new {}
            for {set i 0} {$i < 99} {incr i} {lappend new [numa_node_of new:$i]}
            assert_equal {33 33 33} [spread_of $new]
            # An overwritten key keeps its place.
            pipelined $client 100 {i {list numa.set key:$i other}}
            assert_equal {100 0 0} [spread_of [nodes_of 100]]
            $client close
        }

        test {default_node: local_first starts there} {
            r numaconfig set default_node 1
            write_new local_first 300
            assert_equal {0 300 0} [spread_of [nodes_of 300]]
            r numaconfig set default_node -1
            write_new local_first 300
            assert_equal {300 0 0} [spread_of [nodes_of 300]]
        }

        test {home_node: local_first follows it} {
            r numaconfig set home_node 1
            numa_wait 3 {[numa_info numa_home_node] == 1} "home is node 1"
            write_new local_first 300
            assert_equal {0 300 0} [spread_of [nodes_of 300]]
            r numaconfig set home_node auto
            numa_wait 5 {[numa_info numa_home_node] == 0} "home is node 0 again"
        }

        test {NODE wins over every policy} {
            foreach policy {local_first interleaved round_robin weighted pressure_aware} {
                r flushall
                r numaconfig set strategy $policy
                for {set i 0} {$i < 30} {incr i} {r numa.set key:$i v node [expr {$i % 3}]}
                assert_equal {10 10 10} [spread_of [nodes_of 30]] $policy
            }
        }

        test {numa-enabled no: nothing is placed; yes: the policy is back} {
            r numaconfig set enabled no
            write_new round_robin 300
            assert_equal {300 0 0} [spread_of [nodes_of 300]]
            r numaconfig set enabled yes
            write_new round_robin 300
            assert_equal {100 100 100} [spread_of [nodes_of 300]]
            r numaconfig set strategy local_first
        }

        test {a node at its limit falls to the nearest, and every fallback is counted} {
            r flushall
            r numaconfig set node_limit 0 4mb
            write_new local_first 6000 1000
            set spread [spread_of [nodes_of 6000]]
            assert_equal 6000 [expr [join $spread +]]
            assert_morethan [lindex $spread 0] 2000
            assert_equal 0 [lindex $spread 2]
            assert_lessthan_equal [numa_info numa_node0_used_bytes] 4194304
            assert_equal [lindex $spread 1] [numa_info numa_node0_fallbacks]
            assert_equal 0 [numa_info numa_node1_fallbacks]
            assert_equal [lindex $spread 1] \
                [numa_pair [lindex [r numaconfig stats] 1] fallbacks]
        }

        test {full everywhere: the OOM error, and nothing has changed} {
            r flushall
            foreach node {0 1 2} {r numaconfig set node_limit $node 2mb}
            r numa.set kept old
            set error {}
            for {set i 0} {$i < 10000} {incr i} {
                if {[catch {r numa.set key:$i [string repeat v 4000]} error]} break
            }
            assert_match {OOM command not allowed when used memory > 'maxmemory'*} $error
            assert_range $i 1000 1600
            set dbsize [r dbsize]
            set digest [r debug digest]
            set used {}
            foreach node {0 1 2} {lappend used [numa_info numa_node${node}_used_bytes]}
            assert_error {OOM*} {r numa.set key:$i [string repeat v 4000]}
            assert_error {OOM*} {r numa.set kept [string repeat v 100000]}
            assert_error {OOM*} {r numa.append kept [string repeat v 100000]}
            assert_error {OOM*} {r numa.mset fresh1 v fresh2 [string repeat v 100000]}
            assert_error {OOM*} {r numa.setrange kept 100000 v}
            assert_equal old [r numa.get kept]
            assert_equal 0 [r exists fresh1 key:$i]
            assert_equal $dbsize [r dbsize]
            assert_equal $digest [r debug digest]
            foreach node {0 1 2} before $used {
                assert_equal $before [numa_info numa_node${node}_used_bytes]
            }
        }

        test {room that is given back is used again} {
            for {set i 0} {$i < 100} {incr i} {r del key:$i}
            for {set i 0} {$i < 90} {incr i} {r numa.set again:$i [string repeat v 4000]}
            foreach node {0 1 2} {r numaconfig set node_limit $node 0}
            r numa.set kept [string repeat v 100000]
            assert_equal 100000 [r numa.strlen kept]
        }
    }

    start_numa_server [still "numa-simulate 0:64mb:80,1:64mb:140"] {} {
        test {cxl_optimized without a CPU-less node: the farthest} {
            assert {[catch {numa_info numa_node2_keys}]}
            write_new cxl_optimized 100 2000
            assert_equal {0 100 0} [spread_of [nodes_of 100]]
            write_new cxl_optimized 100 20
            assert_equal {100 0 0} [spread_of [nodes_of 100]]
        }
    }

    start_numa_server [still "[numa_three_nodes] numa-default-strategy round_robin"] {} {
        test {the policy of the load arguments steers from the first key on} {
            for {set i 0} {$i < 9} {incr i} {r numa.set key:$i v}
            assert_equal {3 3 3} [spread_of [nodes_of 9]]
        }
    }
}

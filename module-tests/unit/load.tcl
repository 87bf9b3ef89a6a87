# Loading: in the configuration and at run time; a bad argument refuses the load, says why, and
# leaves the server sound.
source [file join [file dirname [info script]] .. support numa.tcl]

proc module_names {} {
    set names {}
    foreach module [r module list] {lappend names [dict get $module name]}
    return $names
}

tags {load} {
    start_numa_server {} {} {
        test {loadmodule: the server starts and MODULE LIST shows the module} {
            assert_equal {numa} [module_names]
            assert_equal {PONG} [r ping]
        }

        test {loadmodule: the module answers its own commands} {
            assert_match {*local_first*} [r numaconfig get strategy]
            assert_equal 2 [numa_info numa_nodes]
        }

        test {loadmodule: a simulated machine is said to be one} {
            assert_equal 1 [numa_info numa_simulated]
            assert_morethan [numa_log_count {*simulat*}] 0
            assert_equal 1 [numa_log_count {*node 1: tier 1, no CPU, 250 ns from home,*}]
        }

        test {loadmodule: a second load of the module is refused, the first one lives} {
            assert_error {ERR*} {r module load [numa_so]}
            assert_equal {numa} [module_names]
            assert_equal {PONG} [r ping]
        }

        test {a module with data types cannot be unloaded} {
            assert_error {ERR*} {r module unload numa}
            assert_equal {numa} [module_names]
        }
    }

    start_server {} {
        test {MODULE LOAD: a bad argument refuses the load and the log says why} {
            foreach {arguments reason} {
                {numa-no-such-directive yes}         *numa-no-such-directive*
                {numa-balance-threshold}             *numa-balance-threshold*
                {numa-balance-threshold 101}         *numa-balance-threshold*
                {numa-default-strategy nonesuch}     *nonesuch*
                {numa-simulate 0:lots:80}            *numa-simulate*
                {numa-watermark-low 96}              *watermark*
                {numa-config-file /nonesuch/numa.conf} */nonesuch/numa.conf*
            } {
                set before [numa_log_count $reason]
                assert_error {ERR*} {r module load [numa_so] {*}$arguments}
                assert_morethan [numa_log_count $reason] $before "no reason logged for $arguments"
                assert_equal {} [module_names]
                assert_equal {PONG} [r ping]
            }
        }

        test {MODULE LOAD: after refused loads a good one works} {
            assert_equal {OK} [r module load [numa_so] {*}[numa_args]]
            assert_equal {numa} [module_names]
            assert_equal {OK} [r numa.set k v]
            assert_equal {v} [r numa.get k]
        }

        test {after refused loads and a good one the server's events work} {
            r set native value
            assert_equal {OK} [r flushall]
            assert_equal {OK} [r flushall async]
            r swapdb 9 10
            r save
            r bgsave
            waitForBgsave r
            assert_equal {PONG} [r ping]
        }
    }

    start_server {} {
        test {MODULE LOAD under traffic with a million keys fails no reply} {
            r debug populate 1000000 key 16
            set clients {}
            for {set i 0} {$i < 4} {incr i} {lappend clients [redis_deferring_client]}
            for {set round 0} {$round < 500} {incr round} {
                foreach client $clients {$client get key:$round}
            }
            set loader [redis_deferring_client]
            $loader module load [numa_so] {*}[numa_args]
            for {set round 500} {$round < 1000} {incr round} {
                foreach client $clients {$client get key:$round}
            }
            assert_equal {OK} [$loader read]
            for {set round 0} {$round < 1000} {incr round} {
                foreach client $clients {
                    assert_match "value:$round*" [$client read]
                }
            }
            foreach client [concat $clients [list $loader]] {$client close}
            assert_equal 1000000 [r dbsize]
        }
    }

    test {loadmodule with a bad argument: the server does not start and says why} {
        assert_match {*numa-no-such-directive*} [numa_refused_start {numa-no-such-directive yes}]
        assert_match {*numa-simulate*} [numa_refused_start {numa-simulate nonsense}]
    }
}

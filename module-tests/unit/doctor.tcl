source [file join [file dirname [info script]] .. support numa.tcl]

# NUMA DOCTOR: findings in plain words.

proc finding {pattern} {
    return [lsearch -glob -inline [r numa doctor] $pattern]
}

start_numa_server [numa_args {numa-node-limit 0 1mb}] {overrides {save ""}} {
    test {DOCTOR says that the machine is simulated, and nothing of what is in order} {
        assert_match {degraded: simulated machine*} [finding degraded*]
        assert_equal {} [finding {*went elsewhere*}]
        assert_equal {} [finding {switched off*}]
        assert_equal {} [finding {*bug*}]
    }

    test {DOCTOR names a node that was full, accesses that are far, and the switch} {
        r numaconfig set composite_lru_auto_migrate_enabled no
        for {set i 0} {$i < 200} {incr i} {r numa.set k$i [string repeat v 10000]}
        assert_match {* new blocks found node0 full or at its limit*} [finding {*went elsewhere}]
        assert_poured 12000 [numa_pour 0 12000 "NUMA.GET k199"]
        assert_match {* accesses were far*} [finding {*were far*}]
        r numaconfig set enabled no
        assert_match {switched off by numa-enabled no*} [finding switched*]
    }

    test {DOCTOR takes no word} {
        assert_error {ERR Unknown subcommand or wrong number*} {r numa doctor now}
    }
}

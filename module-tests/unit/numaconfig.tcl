# NUMACONFIG: every form, every error text, the directives file and who wins over whom.
source [file join [file dirname [info script]] .. support numa.tcl]

# The value of a parameter as NUMACONFIG GET shows it.
proc param {name} {
    set found [r numaconfig get $name]
    if {[llength $found] != 2} {fail "GET $name: $found"}
    return [lindex $found 1]
}

proc names {pairs} {
    set names {}
    foreach {name value} $pairs {lappend names $name}
    return $names
}

proc write_file {path text} {
    set file [open $path w]
    puts -nonewline $file $text
    close $file
}

proc read_file {path} {
    set file [open $path]
    set text [read $file]
    close $file
    return $text
}

proc whole_config {} {
    return [r numaconfig get]
}

tags {numaconfig} {
    start_numa_server [numa_three_nodes] {} {
        test {GET: the first eight names in their order, with their defaults} {
            set first [lrange [r numaconfig get] 0 15]
            set expected {strategy local_first nodes 3 balance_threshold 30 auto_rebalance yes}
            lappend expected cxl_optimization disabled rebalance_interval 5000000
            lappend expected min_allocation_size 1024 node_weights {{0 100} {1 100} {2 100}}
            assert_equal $expected $first
        }

        test {GET: flat pairs, each name once, the rest of the configuration behind} {
            set all [r numaconfig get]
            assert_equal 0 [expr {[llength $all] % 2}]
            set names [names $all]
            assert_equal [llength $names] [llength [lsort -unique $names]]
            foreach name {
                enabled default_node home_node watermark_high watermark_low native_keys
                transparent_types transparent_acl_accepted move_during_fork config_file
                admin_commands debug simulate tick_interval tick_budget cpu_share migrate_rate
                composite_lru_decay_threshold_sec composite_lru_migrate_hotness_threshold
                composite_lru_stability_count composite_lru_hot_candidates_size
                composite_lru_scan_batch_size composite_lru_overload_threshold
                composite_lru_bandwidth_threshold composite_lru_pressure_threshold
                composite_lru_auto_migrate_enabled node_limits inactive
            } {
                assert {$name in $names}
            }
        }

        test {GET: the defaults are the documented ones} {
            foreach {name value} {
                enabled yes default_node -1 home_node auto watermark_high 95 watermark_low 90
                native_keys off transparent_types none transparent_acl_accepted no
                move_during_fork no config_file {} admin_commands yes debug no tick_interval 10
                tick_budget 1000 cpu_share 2 migrate_rate 268435456
                composite_lru_decay_threshold_sec 10 composite_lru_migrate_hotness_threshold 5
                composite_lru_stability_count 3 composite_lru_hot_candidates_size 256
                composite_lru_scan_batch_size 200 composite_lru_overload_threshold 0.8
                composite_lru_bandwidth_threshold 0.9 composite_lru_pressure_threshold 0.7
                composite_lru_auto_migrate_enabled yes node_limits {}
            } {
                assert_equal $value [param $name] $name
            }
        }

        test {GET <pattern>: a glob over the names, in any case of letters} {
            assert_equal {strategy local_first} [r numaconfig get strat*]
            assert_equal {strategy local_first} [r NumaConfig GET STRATEGY]
            assert_equal {watermark_high watermark_low} [names [r numaconfig get water*]]
            assert_equal {watermark_low 90} [r numaconfig get {watermark_[l]ow}]
            assert_equal 9 [llength [names [r numaconfig get composite_lru_*]]]
            assert_equal {} [r numaconfig get nonesuch*]
            assert_equal {} [r numaconfig get {}]
            assert_equal [r numaconfig get] [r numaconfig get *]
        }

        test {GET: either form of a name, and its further names} {
            assert_equal {tick_budget 1000} [r numaconfig get numa-tick-budget]
            assert_equal {tick_budget 1000} [r numaconfig get TICK-BUDGET]
            assert_equal {strategy local_first} [r numaconfig get policy]
            assert_equal {strategy local_first} [r numaconfig get numa-default-strategy]
            assert_equal {node_weights} [names [r numaconfig get weight]]
        }

        test {SET strategy: every policy, by either name, in any case of letters} {
            foreach policy {
                interleaved round_robin weighted pressure_aware cxl_optimized local_first
            } {
                assert_equal {OK} [r numaconfig set strategy $policy]
                assert_equal $policy [param strategy]
                assert_equal $policy [numa_info numa_policy]
            }
            assert_equal {OK} [r numaconfig set policy ROUND_ROBIN]
            assert_equal round_robin [param strategy]
            assert_equal {OK} [r numaconfig set numa-default-strategy local_first]
            assert_equal local_first [param strategy]
        }

        test {SET strategy: an unknown one is named in the error and changes nothing} {
            r numaconfig set strategy weighted
            assert_error {ERR Unknown strategy name: nonesuch} {
                r numaconfig set strategy nonesuch
            }
            assert_error {ERR Unknown strategy name:} {r numaconfig set strategy {}}
            assert_error {ERR Unknown strategy name: local_first?x} {
                r numaconfig set strategy {local_first x}
            }
            assert_equal weighted [param strategy]
            r numaconfig set strategy local_first
        }

        test {SET weight: every error has its own text, form before range} {
            set before [param node_weights]
            foreach {words error} {
                {x 50}      {ERR Invalid node ID}
                {{} 50}     {ERR Invalid node ID}
                {x y}       {ERR Invalid node ID}
                {0 heavy}   {ERR Invalid weight}
                {9 heavy}   {ERR Invalid weight}
                {0 1.5}     {ERR Invalid weight}
                {3 50}      {ERR Node ID 3 out of range}
                {-1 50}     {ERR Node ID -1 out of range}
                {64 2000}   {ERR Node ID 64 out of range}
                {0 1001}    {ERR Weight must be between 0 and 1000}
                {0 -1}      {ERR Weight must be between 0 and 1000}
                {0 99999999999999999999} {ERR Weight must be between 0 and 1000}
            } {
                assert_error $error {r numaconfig set weight {*}$words}
            }
            assert_equal $before [param node_weights]
        }

        test {SET weight: taken and read back, the bounds included} {
            assert_equal {OK} [r numaconfig set weight 0 0]
            assert_equal {OK} [r numaconfig set weight 1 1000]
            assert_equal {OK} [r numaconfig set numa-node-weight 2 25]
            assert_equal {{0 0} {1 1000} {2 25}} [param node_weights]
            foreach node {0 1 2} {r numaconfig set weight $node 100}
        }

        test {SET balance_threshold: bounds and error text} {
            foreach value {0 100 30} {
                assert_equal {OK} [r numaconfig set balance_threshold $value]
                assert_equal $value [param balance_threshold]
            }
            foreach value {-1 101 x {} 1.0 " 5"} {
                assert_error {ERR Balance threshold must be between 0 and 100} {
                    r numaconfig set balance_threshold $value
                }
            }
            assert_equal 30 [param balance_threshold]
        }

        test {SET: every boolean takes every word and keeps its own} {
            foreach {name yes no} {
                cxl_optimization enabled disabled auto_rebalance yes no move_during_fork yes no
                debug yes no composite_lru_auto_migrate_enabled yes no enabled yes no
                transparent_acl_accepted yes no
            } {
                set before [param $name]
                foreach word {yes on ENABLED 1} {
                    r numaconfig set $name [expr {$yes eq $before ? "no" : "yes"}]
                    assert_equal {OK} [r numaconfig set $name $word]
                    assert_equal $yes [param $name] "$name $word"
                }
                foreach word {no off Disabled 0} {
                    assert_equal {OK} [r numaconfig set $name $word]
                    assert_equal $no [param $name] "$name $word"
                }
                assert_error "ERR $name must be $yes or $no, got 'maybe'" {
                    r numaconfig set $name maybe
                }
                r numaconfig set $name $before
            }
        }

        test {SET: every number takes its bounds and refuses what lies beyond} {
            # tick_budget must fit into tick_interval, so the interval is wide meanwhile.
            r numaconfig set tick_interval 1000
            foreach {name min max} {
                rebalance_interval 100000 86400000000
                watermark_high 91 100
                watermark_low 0 94
                tick_budget 10 10000
                cpu_share 1 50
                composite_lru_decay_threshold_sec 1 3600
                composite_lru_migrate_hotness_threshold 1 7
                composite_lru_stability_count 1 255
                composite_lru_hot_candidates_size 1 65535
                composite_lru_scan_batch_size 1 65535
            } {
                set before [param $name]
                foreach value [list $max $min] {
                    assert_equal {OK} [r numaconfig set $name $value] "$name $value"
                    assert_equal $value [param $name]
                }
                foreach value [list [expr {$min - 1}] [expr {$max + 1}]] {
                    assert_error "ERR *$name*" {r numaconfig set $name $value}
                    assert_equal $min [param $name] "$name after $value"
                }
                assert_error "ERR $name must be *got 'x'" {r numaconfig set $name x}
                r numaconfig set $name $before
            }
            r numaconfig set tick_interval 10
        }

        test {SET: fractions} {
            foreach {name min} {
                composite_lru_overload_threshold 0.5 composite_lru_bandwidth_threshold 0.5
                composite_lru_pressure_threshold 0.3
            } {
                set before [param $name]
                foreach value [list $min 1 0.75] {
                    assert_equal {OK} [r numaconfig set $name $value]
                    assert_equal $value [param $name]
                }
                foreach value [list [expr {$min - 0.1}] 1.1 x 1e0 nan -0.7] {
                    assert_error "ERR $name must be between $min and 1, got '$value'" {
                        r numaconfig set $name $value
                    }
                }
                r numaconfig set $name $before
            }
        }

        test {SET: amounts of memory, with the units of redis.conf} {
            foreach {name value bytes} {
                min_allocation_size 0 0 min_allocation_size 2kb 2048
                min_allocation_size 1gb 1073741824 min_allocation_size 1k 1000
                min_allocation_size 1024 1024 migrate_rate 1mb 1048576 migrate_rate 64mb 67108864
                migrate_rate 256mb 268435456
            } {
                assert_equal {OK} [r numaconfig set $name $value]
                assert_equal $bytes [param $name]
            }
            assert_error {ERR min_allocation_size must be*got '2gb'} {
                r numaconfig set min_allocation_size 2gb
            }
            assert_error {ERR migrate_rate must be*got '1000'} {r numaconfig set migrate_rate 1000}
            assert_error {ERR migrate_rate must be*got 'fast'} {r numaconfig set migrate_rate fast}
        }

        test {SET node limit: a unit or bytes, 0 for none, and the node reports it} {
            assert_equal {OK} [r numaconfig set node_limit 1 64mb]
            assert_equal {{1 67108864}} [param node_limits]
            assert_equal 67108864 [numa_info numa_node1_limit_bytes]
            assert_equal {OK} [r numaconfig set limit 1 0]
            assert_equal {} [param node_limits]
            assert_equal 0 [numa_info numa_node1_limit_bytes]
            assert_error {ERR Invalid node ID} {r numaconfig set node_limit x 1mb}
            assert_error {ERR Node ID 3 out of range} {r numaconfig set node_limit 3 1mb}
            assert_error {ERR node_limit must be*got 'much'} {r numaconfig set node_limit 1 much}
        }

        test {SET default_node and home_node: a node of the machine, or the word for none} {
            foreach {name word} {default_node -1 home_node auto} {
                assert_equal {OK} [r numaconfig set $name 2]
                assert_equal 2 [param $name]
                assert_error {ERR Node ID 7 out of range} {r numaconfig set $name 7}
                assert_error "ERR $name must be*" {r numaconfig set $name near}
                assert_error "ERR $name must be*" {r numaconfig set $name -2}
                assert_equal 2 [param $name]
                assert_equal {OK} [r numaconfig set $name $word]
                assert_equal $word [param $name]
            }
        }

        test {SET: relations between parameters are kept, and the error says both values} {
            assert_error {ERR watermark_low must be below watermark_high (95, 95)} {
                r numaconfig set watermark_low 95
            }
            assert_error {ERR watermark_low must be below watermark_high (90, 90)} {
                r numaconfig set watermark_high 90
            }
            assert_error {ERR tick_interval must be between 1 and 1000 (ms), got '0'} {
                r numaconfig set tick_interval 0
            }
            r numaconfig set tick_budget 10000
            assert_error {ERR tick_budget must fit into tick_interval (10000 us, 9 ms)} {
                r numaconfig set tick_interval 9
            }
            assert_equal 10 [param tick_interval]
            r numaconfig set tick_budget 1000
        }

        test {SET: what is fixed at load is refused, and the error says so} {
            foreach {name value} {
                config_file /tmp/other admin_commands no simulate 0:1gb:80
            } {
                set before [param $name]
                assert_error "ERR $name can only be set when the module is loaded (numa-*" {
                    r numaconfig set $name $value
                }
                assert_equal $before [param $name]
            }
        }

        test {SET: what this version does not do is refused, not pretended} {
            assert_error {ERR native_keys must be one of off, observe, manage, got 'some'} {
                r numaconfig set native_keys some
            }
            assert_equal {OK} [r numaconfig set native_keys off]
            assert_equal {OK} [r numaconfig set transparent_types none]
            assert_match {*composite_lru_bandwidth_threshold*} [param inactive]
        }

        test {SET: an unknown name is named; too few or too many words are an error} {
            assert_error {ERR Unknown parameter: nonesuch} {r numaconfig set nonesuch 1}
            assert_error {ERR Unknown parameter: nonesuch} {r numaconfig set nonesuch 1 2 3}
            assert_error {ERR Unknown parameter:} {r numaconfig set {} 1}
            assert_error {ERR Unknown parameter: a??b} {r numaconfig set "a\r\nb" 1}
            assert_error {ERR debug takes <value>} {r numaconfig set debug yes no}
            assert_error {ERR node_weight takes <node> <weight>} {r numaconfig set weight 1}
            assert_error {ERR *'set'*} {r numaconfig set}
            assert_equal {PONG} [r ping]
        }

        test {unknown subcommands and wrong numbers of words name the subcommand} {
            foreach words {
                frob {get a b} {rebalance now} {stats 1} {load /etc/passwd} {rewrite x}
                {resetstat x} {help x}
            } {
                set sub [lindex $words 0]
                assert_error "ERR Unknown subcommand or wrong number of arguments for '$sub'*" {
                    r numaconfig {*}$words
                }
            }
            assert_error {ERR wrong number of arguments for 'numaconfig' command} {r numaconfig}
        }

        test {HELP names every form} {
            set help [join [r numaconfig help] "\n"]
            foreach form {
                GET {SET strategy} {SET weight} REBALANCE STATS LOAD REWRITE RESETSTAT HELP
            } {
                assert_match "*\n$form*" $help
            }
        }

        test {STATS: for each node its number, then its counts} {
            r flushall
            r numa.set one [string repeat x 100] node 1
            r numa.set two [string repeat x 100] node 1
            set stats [r numaconfig stats]
            assert_equal 6 [llength $stats]
            foreach {name values} $stats node {0 1 2} {
                assert_equal [list node $node] $name
                assert_equal {allocations bytes} [names [lrange $values 0 3]]
            }
            set node1 [lindex $stats 3]
            assert_equal 2 [numa_pair $node1 allocations]
            assert_equal [expr {2 * [numa_pair [r numamigrate info one] bytes]}] \
                [numa_pair $node1 bytes]
        }

        test {RESETSTAT: counts start again, what exists stays counted} {
            r numamigrate key one 2
            r numa.get one
            set bytes [numa_pair [lindex [r numaconfig stats] 3] bytes]
            assert_equal {OK} [r numaconfig resetstat]
            assert_equal 0 [numa_pair [lindex [r numaconfig stats] 3] allocations]
            assert_equal $bytes [numa_pair [lindex [r numaconfig stats] 3] bytes]
            foreach field {
                numa_accesses_near numa_accesses_far numa_migrations numa_migrated_bytes
                numa_migrations_failed
            } {
                assert_equal 0 [numa_info $field] $field
            }
            assert_equal 0 [numa_pair [r numamigrate stats] total_migrations]
        }

        test {the command's flags are those of an administrator's command} {
            set info [lindex [r command info numaconfig] 0]
            foreach flag {admin noscript loading stale} {
                assert {$flag in [lindex $info 2]}
            }
            assert {"write" ni [lindex $info 2]}
            assert_error {*not allowed from script*} {
                r eval {return redis.call('numaconfig', 'get')} 0
            }
        }

        test {LOAD and REWRITE without a file named at load say so} {
            assert_error {ERR No directives file*numa-config-file*} {r numaconfig load}
            assert_error {ERR No directives file*numa-config-file*} {r numaconfig rewrite}
        }

        test {what was set is in force under NUMA CONFIG too} {
            assert_equal {OK} [r numa config set cpu_share 7]
            assert_equal {cpu_share 7} [r numa config get cpu_share]
            assert_equal 7 [param cpu_share]
            assert_error {ERR Unknown parameter: nonesuch} {r numa config set nonesuch 1}
        }
    }

    set folder [file normalize [tmpdir numaconfig]]
    set conf [file join $folder numa.conf]

    write_file $conf "# mine\nnuma-cpu-share 3\nNUMA_TICK_BUDGET 900 \nnuma-node-weight 1 50\n"
    start_numa_server "[numa_args] numa-config-file $conf numa-tick-budget 800" {} {
        test {the file wins over defaults, load arguments over the file} {
            assert_equal 3 [param cpu_share]
            assert_equal 800 [param tick_budget]
            assert_equal {{0 100} {1 50}} [param node_weights]
            assert_equal $conf [param config_file]
        }

        test {LOAD: takes what changed, keeps what NUMACONFIG SET gave} {
            r numaconfig set balance_threshold 40
            write_file $conf "numa-cpu-share 5\nnuma-balance-threshold 50\nnuma-tick-budget 700\n"
            assert_equal {OK} [r numaconfig load]
            assert_equal 5 [param cpu_share]
            assert_equal 40 [param balance_threshold] "SET wins over the file"
            assert_equal 800 [param tick_budget] "a load argument wins over the file"
            assert_equal {{0 100} {1 100}} [param node_weights] "what left the file is gone"
        }

        test {LOAD: an error names line and reason, never the content, and nothing changes} {
            foreach {text reason} {
                "numa-cpu-share 9\nnuma-s3cret 1\n"             {line 2: unknown directive}
                "numa-cpu-share 9\n\nnuma-cpu-share s3cret\n"   {line 3: numa-cpu-share must be *}
                "numa-cpu-share 9\nnuma-default-strategy s3cret\n" {line 2: Unknown strategy name}
                "numa-cpu-share 9\nnuma-node-weight 77 1\n"     {line 2: Node ID out of range}
                "numa-cpu-share 9\nnuma-node-weight 7 1\n"      {line 2: Node ID out of range}
                "numa-cpu-share 9\nnuma-debug\n"                {line 2: numa-debug takes <value>}
                "numa-cpu-share 9\nnuma-debug \"s3cret\n"       {line 2: *}
                "numa-cpu-share 9\nnuma-config-file /s3cret\n"  {line 2: *load argument*}
                "numa-cpu-share 9\nnuma-admin-commands no\n"    {line 2: *when the module is loaded*}
                "numa-cpu-share 9\nnuma-watermark-low 96\n"     {line 2: watermark_low must be below*}
            } {
                write_file $conf $text
                set before [whole_config]
                assert_equal 1 [catch {r numaconfig load} error] $text
                assert_match "ERR *$reason" $error
                assert_no_match *s3cret* $error
                assert_no_match *77* $error
                assert_equal $before [whole_config] $text
            }
        }

        test {LOAD: a file that is gone, or is none, is an error and changes nothing} {
            set before [whole_config]
            file delete $conf
            assert_error {ERR *numa.conf*} {r numaconfig load}
            file mkdir $conf
            assert_error {ERR *not a regular file*} {r numaconfig load}
            file delete $conf
            assert_equal $before [whole_config]
        }

        test {REWRITE: names the load arguments that would shadow the file} {
            write_file $conf "# mine\nnuma-cpu-share 5\n"
            set reply [r numaconfig rewrite]
            assert_match {OK*numa-simulate*numa-tick-budget*} $reply
            assert_no_match {*numa-cpu-share*} $reply
        }

        test {REWRITE: the file says what runs, and keeps its author's comments} {
            r numaconfig set strategy weighted
            r numaconfig set weight 1 17
            r numaconfig set node_limit 1 64mb
            r numaconfig set composite_lru_pressure_threshold 0.65
            assert_match {OK*} [r numaconfig rewrite]
            set text [read_file $conf]
            assert_match "# mine\n*" $text
            foreach line {
                {numa-default-strategy weighted} {numa-node-weight 1 17}
                {numa-node-limit 1 64mb} {numa-composite-lru-pressure-threshold 0.65}
                {numa-balance-threshold 40} {numa-cpu-share 5}
            } {
                assert_match "*\n$line\n*" $text
            }
            set before [whole_config]
            assert_equal {OK} [r numaconfig load]
            assert_equal $before [whole_config]
            assert_equal {} [glob -nocomplain [file join $folder *.tmp]]
        }

        test {REWRITE: an error names the file and leaves all as it was} {
            file rename $folder $folder.away
            assert_error {ERR *numa.conf*} {r numaconfig rewrite}
            file rename $folder.away $folder
            assert_match {OK*} [r numaconfig rewrite]
        }
    }

    start_numa_server "[numa_two_nodes] numa-config-file $conf" {} {
        test {what REWRITE wrote is what the next load reads} {
            assert_equal weighted [param strategy]
            assert_equal {{0 100} {1 17}} [param node_weights]
            assert_equal {{1 67108864}} [param node_limits]
            assert_equal 0.65 [param composite_lru_pressure_threshold]
            assert_equal 40 [param balance_threshold]
            assert_equal 67108864 [numa_info numa_node1_limit_bytes]
        }
    }

    # The environment: below the file, above the defaults.
    write_file $conf "numa-debug no\n"
    set ::env(NUMA_DEBUG) yes
    set ::env(NUMA_DEFAULT_NODE) 1
    set ::env(NUMA_ENABLED) no
    start_numa_server "[numa_two_nodes] numa-config-file $conf numa-enabled yes" {} {
        test {the environment wins over defaults, file and arguments over the environment} {
            assert_equal 1 [param default_node]
            assert_equal no [param debug]
            assert_equal yes [param enabled]
        }
    }
    test {a bad value in the environment refuses the load and is named} {
        set ::env(NUMA_ENABLED) perhaps
        assert_match {*NUMA_ENABLED*} [numa_refused_start [numa_two_nodes]]
    }
    unset ::env(NUMA_DEBUG) ::env(NUMA_DEFAULT_NODE) ::env(NUMA_ENABLED)

    write_file $conf "# none\n"
    start_numa_server "[numa_args] numa-config-file $conf numa-admin-commands no" {} {
        test {numa-admin-commands no: what destroys or reveals is refused, the rest is served} {
            r numa.set key value
            foreach words {
                {numaconfig load} {numaconfig rewrite} {numa release} {numa release match *}
                {numamigrate db 1} {numamigrate pattern * 1} {numa config load}
                {numa migrate db 1}
            } {
                assert_error {ERR *numa-admin-commands no*} {r {*}$words}
            }
            assert_equal no [param admin_commands]
            assert_equal {OK} [r numaconfig set cpu_share 3]
            assert_equal {OK} [r numamigrate key key 1]
            assert_equal "# none\n" [read_file $conf]
            assert_equal numa-strg [r type key]
        }
    }

    set overrides {save "" rdbcompression no}
    start_numa_server {} [list overrides $overrides] {
        test {NUMACONFIG is served while the dataset loads} {
            r debug populate 3000 key 4000
            r save
            r config set key-load-delay 1000
            set client [redis_deferring_client]
            $client debug reload nosave
            $client flush
            wait_for_condition 100 20 {
                [catch {r ping} reply] && [string match {LOADING*} $reply]
            } else {
                fail "the server does not load"
            }
            assert_match {strategy local_first*} [r numaconfig get]
            assert_equal {OK} [r numaconfig set cpu_share 4]
            assert_error {LOADING*} {r numamigrate stats}
            assert_equal {OK} [$client read]
            $client close
            assert_equal 4 [param cpu_share]
        }
    }
}

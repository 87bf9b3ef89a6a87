source [file join [file dirname [info script]] .. support numa.tcl]

# Strategies of other modules: examples in C and Rust, and a hostile one (module-tests/plugins).

proc plugin {name} {
    return [file join [file dirname [file dirname [numa_so]]] plugins $name.so]
}

proc slot {number field} {
    return [numa_pair [r numa strategy status $number] $field]
}

proc filled_slots {} {
    return [lmap row [r numa strategy list] {numa_pair $row slot}]
}

start_numa_server [numa_args {composite-lru-auto-migrate-enabled no}] {overrides {save ""}} {
    test {a strategy in C is loaded, put into a slot and does its work} {
        assert_error {ERR Unknown strategy: bring-home *} {r numa strategy slot 2 bring-home}
        assert_equal OK [r module load [plugin bring_home]]
        assert_equal 1 [numa_info numa_plugin_strategies]
        assert_equal {0 1} [filled_slots]
        assert_error {ERR Slots 0 and 1 are for strategies that are built in} {
            r numa strategy slot 1 bring-home
        }
        assert_equal OK [r numa strategy slot 2 bring-home]
        assert_equal {bring-home bring_home 1 normal 1000} [list [slot 2 name] [slot 2 module] \
            [slot 2 enabled] [slot 2 priority] [slot 2 interval_ms]]
        r numa strategy interval 2 20
        r numa.set cold v node 1
        r numa.set hot v node 1
        for {set i 0} {$i < 10} {incr i} {r numa.get hot}
        numa_wait 60 {[numa_node_of hot] == 0} "the hot key to come home"
        assert_equal 1 [numa_node_of cold]
        assert {[slot 2 moves] >= 1}
        assert_equal {0 0} [list [slot 2 failures] [numa_info numa_slot2_stopped]]
    }

    test {settings of a strategy are shown and set, wrong ones refused} {
        assert_equal {level 5} [r numa strategy get 2]
        assert_equal OK [r numa strategy set 2 LEVEL 7]
        assert_equal {level 7} [r numa strategy get 2 level]
        assert_equal {} [r numa strategy get 2 depth]
        foreach value {0 8 x {} 5x} {
            assert_error {ERR Strategy bring-home refused it: * is no value for level} {
                r numa strategy set 2 level $value
            }
        }
        assert_error {ERR Strategy bring-home refused it: it has no setting depth} {
            r numa strategy set 2 depth 3
        }
        assert_error {ERR Strategy no-op refused it: it has no setting level} {
            r numa strategy set 0 level 3
        }
        assert_equal {} [r numa strategy get 0]
        assert_error {ERR Slot 9 is empty} {r numa strategy get 9}
        assert_error {ERR Slot 9 is empty} {r numa strategy set 9 level 3}
        assert_equal {level 7} [r numa strategy get 2]
    }

    test {the host stays, the strategy goes with its module and comes again} {
        assert_error {ERR Error unloading module: *} {r module unload numa}
        assert_equal OK [r module unload bring_home]
        assert_equal {0 1} [filled_slots]
        assert_equal 0 [numa_info numa_plugin_strategies]
        assert_error {ERR Unknown strategy: bring-home *} {r numa strategy slot 2 bring-home}
        for {set i 0} {$i < 5} {incr i} {
            assert_equal OK [r module load [plugin bring_home] 3]
            assert_equal {level 5} [r numa strategy get 3]
            assert_equal OK [r module unload bring_home]
        }
        assert_error {ERR Error loading the extension*} {r module load [plugin bring_home] 1}
        assert_error {ERR Error loading the extension*} {r module load [plugin bring_home] 16}
        assert {[numa_log_count {*a strategy was not registered: slot 16 is none of 2 to 15*}] == 1}
        assert_equal 0 [numa_info numa_plugin_strategies]
    }

    test {a strategy in Rust is loaded into a slot and does its work} {
        assert_equal OK [r module load [plugin cold_out] 5]
        assert_equal {cold-out cold_out {idle_ms 60000}} \
            [list [slot 5 name] [slot 5 module] [r numa strategy get 5]]
        assert_error {ERR Strategy cold-out refused it: soon is no value for idle_ms} {
            r numa strategy set 5 idle_ms soon
        }
        r numa.set left v
        assert_equal 0 [numa_node_of left]
        r numa strategy interval 5 20
        r numa strategy set 5 idle_ms 100
        numa_wait 60 {[numa_node_of left] == 1} "the key to leave home"
    }

    test {a panic in it is a wrong run, five stop it, ENABLE forgives} {
        r numa strategy set 5 idle_ms 0
        numa_wait 60 {[slot 5 enabled] == 0} "the strategy to be stopped"
        assert_match {5 bad runs in a row: it answered 1: panicked at *: told to} [slot 5 stopped]
        assert_equal {1 5} [list [numa_info numa_slot5_stopped] [numa_info numa_slot5_failures]]
        assert {[numa_log_count {*slot 5: strategy cold-out was stopped: *panicked*}] == 1}
        assert_match {*slot 5 (cold-out) was stopped*} [r numa doctor]
        r numa strategy set 5 idle_ms 100
        assert_equal OK [r numa strategy enable 5]
        r numa.set left2 v
        numa_wait 60 {[numa_node_of left2] == 1} "the strategy to work again"
        assert_equal {{} 0} [list [slot 5 stopped] [numa_info numa_panics_caught]]
        assert_equal OK [r module unload cold_out]
        assert_equal {0 1} [filled_slots]
    }
}

start_numa_server {} {overrides {save ""}} {
    test {registrations that cannot be are refused with a reason, and the load fails} {
        foreach {word reason} {
            abi {it was built for version 2 of numa_strategy.h, this is version 1}
            size {its NumaStrategy has * bytes, that of this version has *}
            null {it gives no execute}
            name {its name is not 1 to 64 of a-z 0-9 - _}
            taken {there is a strategy composite-lru}
            init {the init of hostile failed}
        } {
            assert_error {ERR Error loading the extension*} {r module load [plugin hostile] $word}
            assert {[numa_log_count "*a strategy was not registered: $reason*"] == 1}
            assert_equal {0 1} [filled_slots]
            assert_equal 0 [numa_info numa_plugin_strategies]
        }
    }

    test {every kind of nonsense is stopped, counted and told, and moves nothing} {
        r module load [plugin hostile]
        r numa.set known v node 1
        set kinds {
            error {it answered 1: out of ideas}
            mute {it answered 77: no reason given}
            node {its plan names node 7, which cannot hold values}
            negative {its plan names node -1, which cannot hold values}
            key {its plan names a key that does not exist}
            nameless {its plan has a move without the name of a key}
            endless {its plan has a move without the name of a key}
            null {its plan has no moves where it counts some}
            many {its plan has 1025 moves, more than 1024}
            reason {its plan has an unknown reason, 99}
            slow {it took * us where it had *}
        }
        r numa strategy slot 4 hostile
        r numa strategy interval 4 10
        foreach {mode reason} $kinds {
            set before [slot 4 failures]
            r numa strategy set 4 mode $mode
            r numa strategy enable 4
            numa_wait 60 {[slot 4 enabled] == 0} "$mode to be stopped"
            assert_match "5 bad runs in a row: $reason" [slot 4 stopped]
            assert {[slot 4 failures] >= $before + 5}
            assert_equal 1 [numa_info numa_slot4_stopped]
            assert {[numa_log_count "*slot 4: strategy hostile was stopped: $reason*"] >= 1}
            assert_equal 1 [numa_node_of known]
        }
        assert_equal 0 [slot 4 moves]
    }

    test {a standstill is stopped at the first} {
        set before [slot 4 failures]
        r numa strategy set 4 mode standstill
        r numa strategy enable 4
        numa_wait 60 {[slot 4 enabled] == 0} "it to be stopped"
        assert_match {it took * us where it had *} [slot 4 stopped]
        assert_equal [expr {$before + 1}] [slot 4 failures]
    }

    test {a strategy may not unregister itself while it runs} {
        r numa strategy set 4 mode reentrant
        r numa strategy enable 4
        set before [slot 4 executions]
        numa_wait 60 {[slot 4 executions] > $before + 2} "some runs"
        assert_equal {1 {}} [list [slot 4 enabled] [slot 4 stopped]]
        assert {[numa_log_count {*a strategy was not unregistered: a strategy is running*}] >= 1}
    }

    test {the instance ends when its slot gets another strategy} {
        r numa strategy set 4 mode calm
        assert_equal 0 [lindex [r numa strategy get 4 cleanups] 1]
        r numa strategy slot 4 none
        r numa strategy slot 6 hostile
        assert_equal {cleanups 1} [r numa strategy get 6 cleanups]
        assert_equal {unending {}} [r numa strategy get 6 unending]
        assert_equal OK [r module unload hostile]
        assert_equal {0 1} [filled_slots]
    }

    test {a module that forgets to unregister leaves no strategy behind} {
        r module load [plugin hostile] forgetful
        assert_equal {0 1 4} [filled_slots]
        r numa strategy interval 4 1
        assert_equal OK [r module unload hostile]
        assert_equal {0 1} [filled_slots]
        assert_equal 0 [numa_info numa_plugin_strategies]
        assert {[numa_log_count {*strategy hostile was dropped: its module is gone*}] == 1}
        # Unloaded and loaded again before any tick.
        r module load [plugin hostile] forgetful
        r multi
        r module unload hostile
        r module load [plugin hostile]
        r exec
        assert_equal {0 1} [filled_slots]
        assert_equal 1 [numa_info numa_plugin_strategies]
        assert_equal OK [r numa strategy slot 4 hostile]
        assert_equal OK [r module unload hostile]
    }

    test {a module whose load fails after it has registered leaves none either} {
        assert_error {ERR Error loading the extension*} {r module load [plugin hostile] fail}
        numa_wait 10 {[numa_info numa_plugin_strategies] == 0} "the strategy to be dropped"
        assert_equal {0 1} [filled_slots]
        r multi
        r module load [plugin hostile] fail
        r module load [plugin hostile]
        catch {r exec}
        numa_wait 10 {[numa_info numa_plugin_strategies] == 1} "the second one to be there"
        assert_equal OK [r numa strategy slot 4 hostile]
        numa_wait 60 {[slot 4 executions] > 0} "it to run"
        assert_equal OK [r module unload hostile]
        assert_equal 0 [numa_info numa_panics_caught]
    }
}

start_server {overrides {save ""}} {
    test {without redis-numa a strategy's module does not load} {
        assert_error {ERR Error loading the extension*} {r module load [plugin bring_home]}
        assert_error {ERR Error loading the extension*} {r module load [plugin cold_out]}
        assert_equal PONG [r ping]
    }
}

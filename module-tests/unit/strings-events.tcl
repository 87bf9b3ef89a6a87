# What others notice of a string command: keyspace events, WATCH, client-side caching, the count of
# changes, hits and misses. Each command is run on a stock key and on its twin, and what was noticed
# must be the same. Moving a value must be noticed by none of them.
source [file join [file dirname [info script]] .. support numa.tcl]

# The words for a side: `<k>` and what follows a number in it become keys of that side's own.
proc side_words {side words} {
    set words [string map [list <k $side:k] $words]
    set command [lindex $words 0]
    set common {del rpush expire pexpire persist rename copy unlink}
    if {$side eq {n} && $command ni $common} {set words [lreplace $words 0 0 numa.$command]}
    return $words
}

# Everything the client was sent up to a mark of our own; the side's name taken out.
proc messages {client side} {
    r publish mark [incr ::marks]
    set found {}
    while 1 {
        # What a message is about stands at its end.
        set about [lrange [$client read] end-1 end]
        if {$about eq [list mark $::marks]} {return $found}
        if {[lindex $about 0] ne {mark}} {lappend found [string map [list $side: {}] $about]}
    }
}

proc changes {} {return [list [s rdb_changes_since_last_save]]}
proc lookups {} {return [list [s keyspace_hits] [s keyspace_misses]]}

# Runs `words` on one side after `before`; a flat list of what was noticed.
proc noticed {side before words} {
    r del $side:k> $side:k1> $side:k2>
    foreach one $before {r {*}[side_words $side $one]}
    $::watcher watch $side:k>
    # MGET reads whatever lies there without an error.
    $::reader mget $side:k>
    $::reader numa.mget $side:k>
    foreach client {events cached} {messages [set ::$client] $side}
    lassign [concat [changes] [lookups]] changes hits misses
    catch {r {*}[side_words $side $words]} reply
    lassign [concat [changes] [lookups]] changes2 hits2 misses2
    $::watcher multi
    $::watcher ping
    return [list reply [string map [list numa. {} $side: {}] $reply] \
        changed [expr {$changes2 > $changes}] \
        hits [expr {$hits2 - $hits}] misses [expr {$misses2 - $misses}] \
        aborted [expr {[$::watcher exec] eq {}}] \
        events [messages $::events $side] invalidated [messages $::cached $side]]
}

proc same_notice {rows} {
    foreach {before words} $rows {
        set stock [noticed s $before $words]
        set twin [noticed n $before $words]
        foreach {what first} $stock {_ second} $twin {
            if {$first ne $second} {fail "$before, {$words}: $what: stock {$first}, twin {$second}"}
        }
    }
}

# Starts the clients that notice: events, a reader whose reads are cached, one that watches.
proc start_noticing {} {
    r config set notify-keyspace-events KEAm
    set ::events [redis_deferring_client]
    $::events psubscribe __keyevent@*__:* mark
    $::events read
    $::events read
    set ::cached [redis_deferring_client]
    $::cached client id
    set id [$::cached read]
    $::cached subscribe __redis__:invalidate mark
    $::cached read
    $::cached read
    set ::reader [redis_client]
    $::reader client tracking on redirect $id
    set ::watcher [redis_client]
}

proc stop_noticing {} {
    foreach client {events cached reader watcher} {[set ::$client] close}
}

set ::marks 0

# Values move when they are told to, and only then.
set by_hand {numa-composite-lru-auto-migrate-enabled no numa-auto-rebalance no}

tags {strings} {
    start_numa_server "[numa_three_nodes] $by_hand" {overrides {save {}}} {
        test {every command on a key that is there, missing, of another type: noticed as stock's} {
            start_noticing
            # A key set to run out in the past must not go between a write and a look at its events.
            r debug set-active-expire 0
            set far [expr {[clock seconds] + 5000}]
            foreach words [list {get <k>} {strlen <k>} {getrange <k> 0 1} {substr <k> 0 1} \
                {mget <k> <k1>} {set <k> v} {set <k> v nx} {set <k> v xx} {set <k> v get} \
                {set <k> v xx get} {set <k> v keepttl} {set <k> v ex 100} {set <k> v px 100000 get} \
                [list set <k> v exat $far] {set <k> v pxat 1} {set <k> v ex 0} {set <k> v bogus} \
                {setnx <k> v} {setex <k> 100 v} {setex <k> -1 v} {psetex <k> 100000 v} \
                {getset <k> v} {getdel <k>} {getex <k>} {getex <k> ex 100} {getex <k> persist} \
                {getex <k> pxat 1} [list getex <k> exat $far] {getex <k> ex 0} {getex <k> bogus} \
                {mset <k> v <k1> w} {mset <k> v <k> w} {msetnx <k1> v <k2> w} {msetnx <k1> v <k> w} \
                {append <k> 1} {append <k> {}} {setrange <k> 1 x} {setrange <k> 1 {}} \
                {setrange <k> -1 x} {setrange <k> 9999999999 x} {incr <k>} {decr <k>} \
                {incrby <k> 5} {incrby <k> x} {decrby <k> 5} {incrbyfloat <k> 1.5} \
                {incrbyfloat <k> x} {stralgo lcs keys <k> <k>} {get <k> <k1>} {set <k>}] {
                same_notice [list {} $words {{set <k> 10}} $words {{set <k> text}} $words \
                    {{set <k> 10 ex 5000}} $words {{rpush <k> x}} $words {{set <k> 10} {set <k1> 20}} $words]
            }
            r debug set-active-expire 1
        }

        test {commands for every type treat the twin as a string} {
            foreach words {{del <k>} {unlink <k>} {expire <k> 100} {persist <k>} {pexpire <k> -1}
                           {rename <k> <k1>} {copy <k> <k1>}} {
                same_notice [list {} $words {{set <k> v}} $words {{set <k> v ex 5000}} $words]
            }
        }

        test {a key that has run out: noticed as stock's} {
            foreach words {{get <k>} {setnx <k> v} {set <k> v xx} {getset <k> v} {getdel <k>}
                           {getex <k>} {append <k> x} {incr <k>} {mget <k>} {strlen <k>}} {
                r debug set-active-expire 0
                foreach side {s n} {
                    r del $side:k>
                    r {*}[side_words $side {set <k> v px 1}]
                    after 3
                    messages $::events $side
                    r {*}[side_words $side $words]
                    set seen($side) [messages $::events $side]
                }
                assert_equal $seen(s) $seen(n) $words
                assert_match {*expired*} $seen(n)
                r debug set-active-expire 1
            }
        }

        test {moving a value is noticed by nobody} {
            r del n:k>
            r numa.set n:k> v ex 5000
            $::watcher watch n:k>
            $::reader numa.get n:k>
            foreach client {events cached} {messages [set ::$client] n}
            set before [concat [changes] [lookups]]
            r numamigrate key n:k> 2
            r numamigrate keys 1 n:k>
            r numamigrate info n:k>
            assert_equal 1 [numa_node_of n:k>]
            assert_equal $before [concat [changes] [lookups]]
            $::watcher multi
            $::watcher ping
            assert_equal {PONG} [$::watcher exec]
            assert_equal {{} {}} [list [messages $::events n] [messages $::cached n]]
        }

        test {a move by the strategy or a pass is noticed by nobody} {
            r numa.set n:k> v node 2
            $::watcher watch n:k>
            $::reader numa.get n:k>
            foreach client {events cached} {messages [set ::$client] n}
            set before [changes]
            r numamigrate db 1
            numa_wait 5 {[numa_node_of {n:k>}] == 1} {the pass moves the key}
            assert_equal $before [changes]
            $::watcher multi
            $::watcher ping
            assert_equal {PONG} [$::watcher exec]
            assert_equal {{} {}} [list [messages $::events n] [messages $::cached n]]
        }

        test {converting a key is a change} {
            foreach plane {native numa} {
                $::watcher watch n:k>
                $::reader mget n:k>
                $::reader numa.mget n:k>
                foreach client {events cached} {messages [set ::$client] n}
                set before [changes]
                r numa convert n:k> $plane
                assert_morethan [changes] $before
                $::watcher multi
                $::watcher ping
                assert_equal {} [$::watcher exec]
                assert_match {*k>*} [messages $::cached n]
            }
            set before [changes]
            r numa convert n:k> numa
            assert_equal $before [changes]
            stop_noticing
        }

        test {WATCH sees a command of the same client that failed as no change} {
            r numa.set k v
            r watch k
            assert_equal 0 [r numa.setnx k w]
            assert_error {*not an integer*} {r numa.incr k}
            r multi
            r numa.get k
            assert_equal {v} [r exec]
        }

        test {MULTI: a wrong number of words is refused when it is queued, and EXEC with it} {
            foreach words {{numa.get} {numa.get a b} {numa.set k} {numa.mset} {numa.setex k 10}
                           {numa.incrby k} {numaconfig} {numamigrate} {numa}} {
                r multi
                r numa.set k changed
                assert_error {ERR wrong number of arguments*} {r {*}$words}
                assert_error {EXECABORT*} {r exec}
            }
            assert_equal {v} [r numa.get k]
        }

        test {MULTI: errors while it runs stay by themselves} {
            r del k
            r multi
            r numa.set k 5
            r numa.incr k
            r numa.incrby k x
            r numa.append k 0
            catch {r exec} error
            assert_match {*not an integer*} $error
            assert_equal {60} [r numa.get k]
        }

        test {scripts read, write, and meet errors as with stock} {
            r del k
            assert_equal {1 5 {} v} [r eval {
                local set = redis.call('numa.append', KEYS[1], 'v')
                redis.call('numa.setrange', KEYS[1], 4, '!')
                local len = redis.call('numa.strlen', KEYS[1])
                local none = redis.call('numa.get', 'none')
                return {set, len, none, redis.call('numa.getrange', KEYS[1], 0, 0)}
            } 1 k]
            foreach prefix {{} numa.} {
                r del k
                r rpush k x
                assert_error {*WRONGTYPE*} {r eval "return redis.call('${prefix}get', KEYS\[1\])" 1 k}
                assert_error {*WRONGTYPE*} {r eval "return redis.pcall('${prefix}get', KEYS\[1\])" 1 k}
                assert_error {*Wrong number of args*} {r eval "return redis.call('${prefix}get')" 0}
            }
        }

        test {scripts sent as their text: a twin is read, but not written, after a random command} {
            r del k
            r numa.set k v
            r config set lua-replicate-commands no
            assert_equal {v} [r eval {redis.call('time'); return redis.call('numa.get', KEYS[1])} 1 k]
            assert_error {*Write commands not allowed after non deterministic*} {
                r eval {redis.call('time'); return redis.call('numa.set', KEYS[1], 'x')} 1 k
            }
            r config set lua-replicate-commands yes
        }

        test {SLOWLOG, MONITOR and commandstats know the commands by their names} {
            r config resetstat
            r numa.set k v
            r numa.get k
            assert_match {*cmdstat_numa.set:calls=1,*} [r info commandstats]
            assert_match {*cmdstat_numa.get:calls=1,*} [r info commandstats]
            catch {r numa.incr k}
            assert_match {*cmdstat_numa.incr:calls=1,*failed_calls=1*} [r info commandstats]
            assert_match {*errorstat_ERR:count=1*} [r info errorstats]
        }
    }
}

# Sorted sets beside other types and the other plane: what ZUNION and its kin read, what a STORE
# replaces, and what random and scanning commands promise.
source [file join [file dirname [info script]] .. support numa.tcl]

# The stock command's answer on native copies of the same inputs.
proc same_as_stock {command} {
    assert_equal [r {*}[string map {% n} $command]] [r {*}numa.[string map {% m} $command]] $command
}

tags {zsets} {
    start_numa_server {} {overrides {save {}}} {
        test {the algebra reads sets and sorted sets of either plane} {
            # n:*: native; m:*: the same, each of another plane.
            foreach {key plane} {a zset b zset c set d set} {
                for {set i 0} {$i < 300} {incr i} {
                    set member e[expr {($i * 37 + [scan $key %c]) % 400}]
                    if {$plane eq {zset}} {r zadd n:$key [expr {$i / 4.0}] $member} else {
                        r sadd n:$key $member
                    }
                }
            }
            r copy n:a m:a
            r copy n:b m:b
            r numa convert m:b numa
            r copy n:c m:c
            r copy n:d m:d
            r numa convert m:d numa
            assert_equal {zset numa-zset set numa-sets} \
                [list [r type m:a] [r type m:b] [r type m:c] [r type m:d]]
            foreach command {
                {zunion 4 %:a %:b %:c %:d withscores} {zinter 4 %:a %:b %:c %:d withscores}
                {zdiff 2 %:a %:b withscores} {zdiff 3 %:b %:c %:missing} {zinter 2 %:a %:missing}
                {zunion 3 %:d %:c %:a weights 2 0.5 -1 aggregate max withscores}
                {zinter 2 %:c %:d aggregate min withscores} {zunion 2 %:b %:b withscores}
            } {
                same_as_stock $command
            }
        }

        test {a STORE makes a NUMA sorted set of whatever lay at its target} {
            foreach before {{} {set k x} {sadd k x} {numa.rpush k x} {numa.zadd k 1 x} {zadd k 1 x}} {
                foreach {command count} {{zunionstore k 2 m:a m:b} 400 {zinterstore k 1 m:d} 300
                    {zdiffstore k 1 m:b} 300 {zrangestore k m:b 0 9} 10} {
                    r del k
                    if {$before ne {}} {
                        r {*}$before
                        r pexpire k 1000000
                    }
                    assert_equal $count [r numa.[lindex $command 0] {*}[lrange $command 1 end]]
                    assert_equal {numa-zset -1} [list [r type k] [r pttl k]]
                    assert_equal $count [r numa.zcard k]
                }
                r numa.zinterstore k 2 m:a missing
                assert_equal 0 [r exists k]
            }
            # Its own input may be the target.
            r numa.zadd self 1 a 2 b
            assert_equal 2 [r numa.zunionstore self 2 self self]
            assert_equal {a 2 b 4} [r numa.zrange self 0 -1 withscores]
        }

        test {other types are refused, wherever they come} {
            r set text x
            r numa.rpush list a
            r hset hash f v
            foreach key {text list hash} {
                assert_error {WRONGTYPE*} {r numa.zunion 2 m:b $key}
                assert_error {WRONGTYPE*} {r numa.zinterstore k 2 m:b $key}
                assert_error {WRONGTYPE*} {r numa.zadd $key 1 a}
            }
            # A native sorted set is not for the twins' own commands.
            assert_error {WRONGTYPE*} {r numa.zcard n:a}
            assert_error {WRONGTYPE*} {r zcard m:b}
            assert_error {WRONGTYPE*} {r numa.rpush n:a x}
        }

        test {ZRANDMEMBER answers members of the set, different ones or as many as are asked for} {
            foreach size {5 100 3000} {
                r del z
                array unset members
                for {set i 0} {$i < $size} {incr i} {
                    r numa.zadd z $i m$i
                    set members(m$i) $i
                }
                foreach count {1 3 50 2999 100000} {
                    set found [r numa.zrandmember z $count withscores]
                    array unset seen
                    array set seen $found
                    assert_equal [expr {min($count, $size)}] [array size seen]
                    foreach {member score} $found {assert_equal $members($member) $score}
                }
                set found [r numa.zrandmember z -200]
                assert_equal 200 [llength $found]
                foreach member $found {assert {[info exists members($member)]}}
                assert {[info exists members([r numa.zrandmember z])]}
            }
            # Every member comes, sooner or later, and none much more often than another.
            r del z
            r numa.zadd z 1 a 2 b 3 c 4 d
            array unset seen
            foreach member [r numa.zrandmember z -4000] {incr seen($member)}
            foreach member {a b c d} {assert_range $seen($member) 800 1200}
        }

        test {ZSCAN shows every member that is there all the while, whatever comes and goes} {
            foreach size {20 5000} {
                r del z
                for {set i 0} {$i < $size} {incr i} {r numa.zadd z $i m$i}
                array unset seen
                set cursor 0
                set extra 0
                while 1 {
                    lassign [r numa.zscan z $cursor count 50] cursor found
                    foreach {member score} $found {
                        if {[string match m* $member]} {
                            assert_equal m$score $member
                            set seen($member) 1
                        }
                    }
                    if {$cursor == 0} break
                    for {set i 0} {$i < 200} {incr i} {r numa.zadd z 1 x[incr extra]}
                    r numa.zremrangebylex z \[x1 \[x2
                }
                assert_equal $size [array size seen]
            }
            set found {}
            set cursor 0
            while 1 {
                lassign [r numa.zscan z $cursor match m12?] cursor some
                lappend found {*}$some
                if {$cursor == 0} break
            }
            assert_equal {m120 m121 m122 m123 m124 m125 m126 m127 m128 m129} \
                [lsort -unique [dict keys $found]]
        }
    }
}

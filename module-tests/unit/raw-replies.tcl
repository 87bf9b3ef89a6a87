# What goes over the wire, byte by byte, in both protocols: a twin's reply is its stock command's.
source [file join [file dirname [info script]] .. support numa.tcl]

# What the server writes to these inline commands, from a connection of that protocol.
proc raw_replies {protocol lines} {
    set socket [socket [srv 0 host] [srv 0 port]]
    fconfigure $socket -translation binary -buffering full
    puts -nonewline $socket "hello $protocol\r\nselect 9\r\necho begin\r\n"
    foreach line $lines {puts -nonewline $socket "$line\r\n"}
    puts -nonewline $socket "echo end\r\n"
    flush $socket
    set seen {}
    while {![string match "*\$3\r\nend\r\n" $seen]} {append seen [read $socket 1]}
    close $socket
    return [string range $seen [string first "\$5\r\nbegin\r\n" $seen] end]
}

set ::lines {
    {rpush s:l a b "" 12} {lrange s:l 0 -1} {lrange s:l 5 9} {lindex s:l 1} {lindex s:l 9} {lpos s:l a} {lpos s:l x}
    {lpos s:l a count 0} {lpos s:l x count 0} {lpop s:l 2} {lpop s:l 0} {rpop s:l} {lpop missing}
    {lpop missing 2} {lmove missing s:l left left} {rpoplpush missing s:l} {blpop missing 0.01}
    {brpoplpush missing s:l 0.01} {bzpopmin missing 0.01} {lset missing 0 a} {lset s:l 9 a}
    {linsert s:l before x y} {llen s:l} {blpop s:l 0} {del s:l}
    {zadd s:z 1 a 2.5 b inf c -inf d 1e20 e 0.1 f} {zscore s:z b} {zscore s:z c} {zscore s:z d} {zscore s:z x}
    {zscore s:z e} {zscore s:z f} {zmscore s:z a x c} {zincrby s:z 0.2 f} {zadd s:z incr 1 b} {zadd s:z nx incr 1 b}
    {zrange s:z 0 -1} {zrange s:z 0 -1 withscores} {zrange s:z 5 1 withscores} {zrevrange s:z 0 1 withscores}
    {zrangebyscore s:z -inf 5 withscores} {zrangebyscore s:z (1 2 withscores limit 0 1}
    {zrange missing 0 -1 withscores} {zrank s:z a} {zrank s:z x} {zunion 2 s:z s:z withscores}
    {zinter 1 s:z} {zdiff 1 s:z withscores} {zunion 1 missing withscores} {zrandmember missing}
    {zrandmember missing 3} {zrandmember s:z 0} {zpopmin s:z} {zpopmax s:z 2} {zpopmin s:z 0}
    {zpopmin missing 3} {zscan missing 0} {zscan s:z 0} {bzpopmin s:z 0} {zcard s:z} {del s:z}
    {zadd s:z 1 a} {zrandmember s:z 1 withscores} {zrandmember s:z 5 withscores} {zrandmember s:z -2 withscores}
    {zrandmember s:z} {del s:z} {setbit s:b 7 1} {getbit s:b 7} {bitcount s:b} {bitpos s:b 1} {bitpos s:b 1 1}
    {bitfield s:b get u8 0 overflow fail incrby u2 0 9} {del s:b} {lpush} {zadd s:z 1} {zadd s:z x a}
}

tags {lists zsets resp} {
    start_numa_server {} {overrides {save {}}} {
        foreach protocol {2 3} {
            test "every reply is that of the stock command, byte by byte, in RESP$protocol" {
                foreach line $::lines {
                    set stock [raw_replies $protocol [list $line]]
                    set side [expr {[lindex $line 0] eq {del} ? {} : {numa.}}]
                    # Each on keys of its own.
                    set twin_line [string map {s: n:} $line]
                    set twin [raw_replies $protocol [list $side$twin_line]]
                    set twin [string map {numa. {} n: s:} $twin]
                    assert_equal $stock $twin $line
                }
            }
        }
    }
}

# What the server tests share. Each test file sources it first:
#
#   source [file join [file dirname [info script]] .. support numa.tcl]

# The module under test; module-tests/run names it.
proc numa_so {} {
    return $::env(REDIS_NUMA_SO)
}

# A simulated machine: node 0 near with CPUs, node 1 far without. Sizes are bytes.
proc numa_two_nodes {{near 67108864} {far 268435456}} {
    return "numa-simulate 0:$near:80,1:$far:250:cpuless"
}

# Three nodes: two sockets and a far node without CPUs.
proc numa_three_nodes {{bytes 268435456}} {
    return "numa-simulate 0:$bytes:80,1:$bytes:140,2:$bytes:250:cpuless"
}

# The module arguments of a test server unless it names its own.
proc numa_args {{more {}}} {
    return [string trim "[numa_two_nodes] $more"]
}

# The value of a loadmodule line, for the overrides of start_server.
proc numa_loadmodule {{arguments {}}} {
    return [string trim "[numa_so] $arguments"]
}

# start_server with the module: `start_numa_server <module arguments> <options> <code>`, where the
# options are those of start_server (overrides, tags, ...). Module arguments {} stand for numa_args.
proc start_numa_server {arguments options {code undefined}} {
    if {$arguments eq {}} {set arguments [numa_args]}
    set overrides [list loadmodule [numa_loadmodule $arguments]]
    if {[dict exists $options overrides]} {
        set overrides [concat $overrides [dict get $options overrides]]
    }
    dict set options overrides $overrides
    uplevel 1 [list start_server $options $code]
}

# A field of the module's INFO section; an error where there is no such field. `level` as in srv.
proc numa_info {field {level 0}} {
    foreach line [split [r $level info numa] "\r\n"] {
        if {[string match "$field:*" $line]} {
            return [string range $line [string length "$field:"] end]
        }
    }
    error "assertion:INFO numa has no field $field"
}

# A value out of a reply of flat pairs.
proc numa_pair {pairs name} {
    foreach {key value} $pairs {
        if {$key eq $name} {return $value}
    }
    error "assertion:no pair named $name in: $pairs"
}

# The node most of a key's bytes are on, as NUMAMIGRATE INFO says.
proc numa_node_of {key} {
    return [numa_pair [r numamigrate info $key] current_node]
}

# Waits until `expression` (in the caller's scope) is true, up to `seconds`.
proc numa_wait {seconds expression what} {
    for {set left [expr {$seconds * 20}]} {$left > 0} {incr left -1} {
        if {[uplevel 1 [list expr $expression]]} return
        after 50
    }
    fail "waited $seconds s for: $what"
}

# How many lines of the server's log have matched the pattern so far.
proc numa_log_count {pattern {level 0}} {
    set count 0
    foreach line [split [exec cat [srv $level stdout]] "\n"] {
        if {[string match $pattern $line]} {incr count}
    }
    return $count
}

# Starts a server that is expected to refuse to start; answers what it wrote.
proc numa_refused_start {arguments} {
    set dir [tmpdir server]
    set command [list timeout 30 src/redis-server --port 0 --unixsocket socket --dir $dir]
    lappend command --loadmodule [numa_so]
    set status [catch {exec {*}$command {*}$arguments 2>@1} output options]
    if {!$status} {fail "the server started and ended well: $output"}
    if {[lindex [dict get $options -errorcode] 2] == 124} {fail "the server started: $output"}
    return $output
}

# The command line of module-tests/tools/pour on the server at `level`; see there for the words.
proc numa_pour_command {level count arguments} {
    set tool [file join [file dirname [file dirname [numa_so]]] .. module-tests tools pour]
    # The harness works in database 9.
    return [list python3 $tool [srv $level port] $count --db 9 {*}$arguments]
}

# Pours commands into the server and answers a dict: replies, errors, slowest_ms, seconds, error.
proc numa_pour {level count args} {
    return [numa_pour_result [exec {*}[numa_pour_command $level $count $args] 2>@1]]
}

proc numa_pour_result {output} {
    set line [lindex [split [string trim $output] "\n"] end]
    set result {}
    if {![regexp {^(.*?) error=(.*)$} $line -> pairs error]} {
        error "assertion:pour said: $output"
    }
    foreach pair $pairs {dict set result {*}[split $pair =]}
    dict set result error $error
    return $result
}

# Starts pouring in the background, again and again; numa_pour_end stops it and answers as above.
proc numa_pour_begin {level count args} {
    set command [numa_pour_command $level $count [concat $args --until-eof]]
    set pipe [open "|$command 2>@1" r+]
    fconfigure $pipe -translation binary
    return $pipe
}

proc numa_pour_end {pipe} {
    chan close $pipe write
    set output [read $pipe]
    catch {close $pipe}
    return [numa_pour_result $output]
}

# Fails unless `count` replies came and none was an error.
proc assert_poured {count result} {
    if {[dict get $result errors] || [dict get $result replies] != $count} {
        error "assertion:wanted $count replies without error, had: $result"
    }
}

# used_memory of the server at `level`.
proc numa_used {{level 0}} {
    return [s $level used_memory]
}

proc file_bytes {path} {
    set file [open $path rb]
    set bytes [read $file]
    close $file
    return $bytes
}

proc put_file {path bytes} {
    set file [open $path wb]
    puts -nonewline $file $bytes
    close $file
}

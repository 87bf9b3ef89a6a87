
# What `make test-types` puts behind the stock harness's own support/test.tcl: an encoding that is
# asserted between two tests ends the whole file there, for want of a test that could fail. Here it
# is one failure of the file, whatever the number of such places, and all that follows is tested.

rename assert_encoding stock_assert_encoding

proc inside_a_test {} {
    for {set level [info level]} {$level > 0} {incr level -1} {
        if {[lindex [info level $level] 0] in {test ::test}} {return 1}
    }
    return 0
}

proc assert_encoding {encoding key} {
    if {[inside_a_test]} {
        return [uplevel 1 [list stock_assert_encoding $encoding $key]]
    }
    if {[catch {stock_assert_encoding $encoding $key}] && ![info exists ::encodings_told]} {
        set ::encodings_told 1
        send_data_packet $::test_server_fd err "encodings between tests"
    }
}

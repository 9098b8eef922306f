internal import ManagementAPI

extension Exposition {
    /// RADIUS servers, the accounting spool and requests to us, as `ipsec-gwctl radius` shows them.
    mutating func add(_ radius: RADIUSReport) {
        for server in radius.servers { add(server) }
        gauge("ipsec_gw_eap_conversations", help: "EAP conversations that are under way.", Double(radius.conversations))
        if let spool = radius.spool { add(spool) }
        for (event, count) in radius.dynamicAuthorization {
            counter(
                "ipsec_gw_dynamic_authorization_total", help: "Disconnect and CoA requests, by what became of them.", labels: [("event", event)],
                count)
        }
    }

    private mutating func add(_ server: RADIUSReport.Server) {
        let labels = [("server", server.name), ("policy", server.policy), ("kind", server.kind)]
        gauge("ipsec_gw_radius_up", help: "0 while a server is left alone for its hold-down-time.", labels: labels, server.state == .up ? 1 : 0)
        gauge("ipsec_gw_radius_outstanding", help: "Requests without a reply.", labels: labels, Double(server.outstanding))
        if let time = server.roundTripMilliseconds {
            gauge("ipsec_gw_radius_round_trip_seconds", help: "From request to reply, smoothed.", labels: labels, time / 1000)
        }
        counter("ipsec_gw_radius_requests_total", help: "Requests, each once.", labels: labels, server.requests)
        counter("ipsec_gw_radius_retransmissions_total", help: "Requests sent again.", labels: labels, server.retransmissions)
        counter("ipsec_gw_radius_replies_total", help: "Replies that count.", labels: labels, server.replies)
        counter("ipsec_gw_radius_timeouts_total", help: "Requests that the server did not answer.", labels: labels, server.timeouts)
        for (reason, count) in server.drops {
            counter(
                "ipsec_gw_radius_dropped_replies_total", help: "Replies that count for nothing.", labels: labels + [("reason", reason)], count)
        }
    }

    private mutating func add(_ spool: RADIUSReport.Spool) {
        gauge("ipsec_gw_accounting_spool_records", help: "Records that no server has acknowledged.", Double(spool.records))
        gauge("ipsec_gw_accounting_spool_bytes", help: "What they take.", Double(spool.octets))
        gauge("ipsec_gw_accounting_spool_maximum_bytes", help: "What they may take.", Double(spool.maximumOctets))
        for state in [RADIUSReport.Spool.State.normal, .filling, .full, .failing] {
            gauge(
                "ipsec_gw_accounting_spool_state", help: "1 for what it is: filling from 80 % on, full, or failing to store.",
                labels: [("state", state.rawValue)], spool.state == state ? 1 : 0)
        }
        counter("ipsec_gw_accounting_records_delivered_total", help: "Records that a server acknowledged.", spool.delivered)
        counter("ipsec_gw_accounting_interims_dropped_total", help: "Interim records given up for room.", spool.dropped)
    }
}

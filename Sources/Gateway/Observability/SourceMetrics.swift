internal import FoundationEssentials
internal import ManagementAPI

extension MetricsRegistry {
    /// The text of everything, with what the management source knows: sessions, pools, drops.
    func exposition(including source: any ManagementSource) async -> String {
        let (status, gateways) = (await source.status(), await source.gateways())
        let (pools, counters) = (await source.pools(), await source.counters())
        let radius = await source.radius()
        return await exposition { exposition in
            exposition.gauge(
                "ipsec_gw_info", help: "1; the labels say what runs.",
                labels: [("name", status.name), ("version", status.version), ("engine", status.engine)], 1)
            exposition.gauge("ipsec_gw_uptime_seconds", help: "Since the daemon's start.", Double(status.uptime))
            exposition.gauge("ipsec_gw_workers", help: "Datapath threads.", Double(status.workers))
            for worker in status.workerLoads {
                let labels = [("worker", String(worker.worker))]
                exposition.gauge("ipsec_gw_worker_sessions", help: "Sessions with Child SAs on the worker.", labels: labels, Double(worker.sessions))
                exposition.counter("ipsec_gw_worker_octets", help: "Inner octets of both directions.", labels: labels, worker.octets)
                exposition.counter("ipsec_gw_worker_packets", help: "Inner packets of both directions.", labels: labels, worker.packets)
                exposition.counter("ipsec_gw_worker_sessions_shed", help: "Sessions that left at a rekey.", labels: labels, worker.shed)
                exposition.counter("ipsec_gw_worker_sessions_taken", help: "Sessions that came at a rekey.", labels: labels, worker.taken)
            }
            exposition.gauge("ipsec_gw_sessions", help: "Clients that are connected.", Double(status.sessions))
            exposition.gauge("ipsec_gw_half_open", help: "IKE SAs that have yet to authenticate.", Double(status.halfOpen))
            for gateway in gateways {
                let labels = [("gateway", gateway.name)]
                exposition.gauge("ipsec_gw_gateway_sessions", help: "Clients by gateway.", labels: labels, Double(gateway.sessions))
                exposition.gauge("ipsec_gw_gateway_up", help: "1 when the gateway listens.", labels: labels, gateway.state == .up ? 1 : 0)
            }
            for pool in pools {
                let states = [("used", pool.used), ("held", pool.held), ("quarantined", pool.quarantined), ("free", pool.free)]
                for (state, count) in states {
                    exposition.gauge(
                        "ipsec_gw_pool_addresses", help: "Inner addresses by pool and state.",
                        labels: [("pool", pool.name), ("state", state)], Double(count))
                }
            }
            for (reason, count) in counters.drops {
                exposition.counter("ipsec_gw_drops_total", help: "Packets dropped on the data path.", labels: [("reason", reason)], count)
            }
            for (name, count) in counters.ike {
                exposition.counter("ipsec_gw_ike_events_total", help: "What IKE did and refused to do.", labels: [("event", name)], count)
            }
            exposition.add(radius)
        }
    }
}

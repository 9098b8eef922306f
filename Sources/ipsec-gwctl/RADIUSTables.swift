internal import ArgumentParser
internal import ManagementAPI

struct RADIUSServers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "radius", abstract: "The RADIUS servers, accounting records on their way, requests to us.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let report = try await flags.ask { client throws(ManagementError) in try await client.radius() }
        try flags.show(report) {
            guard !report.servers.isEmpty else { return ["no RADIUS server is in use"] }
            return Self.servers(report.servers) + [""] + Self.rest(report)
        }
    }

    private static func servers(_ servers: [RADIUSReport.Server]) -> [String] {
        var table = Table([
            .init("SERVER", .left, .cut, least: 10), .init("FOR"), .init("ADDRESS"), .init("STATE"), .init("REQUESTS", .right),
            .init("AGAIN", .right), .init("TIMEOUTS", .right), .init("OPEN", .right), .init("RTT MS", .right), .init("DROPPED", .right),
        ])
        for server in servers {
            table.append([
                server.name, server.kind == "accounting" ? "acct" : "auth", server.address, server.state.rawValue, String(server.requests),
                String(server.retransmissions), String(server.timeouts), String(server.outstanding),
                server.roundTripMilliseconds.map { String(Double(Int($0 * 10)) / 10) } ?? "-",
                String(server.drops.values.reduce(0, &+)),
            ])
        }
        return table.lines + drops(servers)
    }

    /// Why replies were dropped: a wrong secret shows here.
    private static func drops(_ servers: [RADIUSReport.Server]) -> [String] {
        guard servers.contains(where: { !$0.drops.isEmpty }) else { return [] }
        var table = Table([.init("SERVER", .left, .cut, least: 10), .init("DROPPED REPLIES", .left, .cut), .init("COUNT", .right)])
        for server in servers {
            for (reason, count) in server.drops.sorted(by: { $0.key < $1.key }) { table.append([server.name, reason, String(count)]) }
        }
        return [""] + table.lines
    }

    private static func rest(_ report: RADIUSReport) -> [String] {
        var listing = Listing()
        listing.append("EAP conversations", String(report.conversations))
        if let spool = report.spool {
            let (octets, limit) = (Quantity.octets(spool.octets), Quantity.octets(spool.maximumOctets))
            listing.append("spool", "\(spool.state.rawValue): \(spool.records) records, \(octets) of \(limit)")
            listing.append("delivered", String(spool.delivered))
            if spool.dropped > 0 { listing.append("interims given up", String(spool.dropped)) }
        }
        for (name, value) in report.dynamicAuthorization.sorted(by: { $0.key < $1.key }) { listing.append(name, String(value)) }
        return listing.lines
    }
}

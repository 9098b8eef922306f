internal import ArgumentParser
internal import FoundationEssentials
internal import ManagementAPI
internal import Wire

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The daemon: version, uptime, sessions, workers.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let report = try await flags.ask { client throws(ManagementError) in try await client.status() }
        try flags.show(report) {
            var listing = Listing()
            listing.append("name", report.name)
            listing.append("version", report.version)
            listing.append("engine", report.engine)
            listing.append("started", report.started.formatted(.iso8601))
            listing.append("uptime", Quantity.span(seconds: report.uptime))
            listing.append("sessions", String(report.sessions))
            listing.append("half-open", String(report.halfOpen))
            listing.append("workers", String(report.workers))
            listing.append("gateways", String(report.gateways))
            listing.append("log level", report.logLevel.rawValue)
            return listing.lines + workers(report.workerLoads)
        }
    }

    private func workers(_ reports: [WorkerReport]) -> [String] {
        guard !reports.isEmpty else { return [] }
        var table = Table([
            .init("WORKER", .right), .init("SESSIONS", .right), .init("OCTETS", .right), .init("PACKETS", .right), .init("SHED", .right),
            .init("TAKEN", .right),
        ])
        for report in reports {
            table.append([
                [String(report.worker)], [String(report.sessions)], [Quantity.octets(report.octets)], [String(report.packets)],
                [String(report.shed)], [String(report.taken)],
            ])
        }
        return [""] + table.lines
    }
}

struct Gateways: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The gateways, their addresses and sessions.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let reports = try await flags.ask { client throws(ManagementError) in try await client.gateways() }
        try flags.show(reports) {
            guard !reports.isEmpty else { return ["no gateways"] }
            var table = Table([
                .init("NAME", .left, .cut, least: 13), .init("ADDRESS"), .init("STATE"), .init("IDENTITY", .left, .cut, least: 13),
                .init("SESSIONS", .right), .init("HALF-OPEN", .right), .init("INTERFACE"), .init("POOLS", .left, .cut, least: 8),
            ])
            for report in reports {
                table.append([
                    [report.name], [report.address.description], [report.state.rawValue], [report.identity],
                    [String(report.sessions)], [String(report.halfOpen)], [report.interface], report.addressSources,
                ])
            }
            return table.lines
        }
    }
}

struct Pools: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The address pools and how full they are.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let reports = try await flags.ask { client throws(ManagementError) in try await client.pools() }
        try flags.show(reports) {
            guard !reports.isEmpty else { return ["no pools"] }
            var table = Table([
                .init("NAME", .left, .cut, least: 16), .init("SIZE", .right), .init("USED", .right), .init("HELD", .right),
                .init("QUARANTINED", .right), .init("FREE", .right),
            ])
            for report in reports {
                let numbers = [report.size, report.used, report.held, report.quarantined, report.free]
                table.append([report.name] + numbers.map { String($0) })
            }
            return table.lines
        }
    }
}

struct Counters: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Dropped packets by reason, and what IKE did.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let report = try await flags.ask { client throws(ManagementError) in try await client.counters() }
        try flags.show(report) {
            var table = Table([.init("GROUP"), .init("COUNTER", .left, .cut), .init("VALUE", .right)])
            for (group, counters) in [("drops", report.drops), ("ike", report.ike)] {
                for (name, value) in counters.sorted(by: { $0.key < $1.key }) { table.append([group, name, String(value)]) }
            }
            return table.lines
        }
    }
}

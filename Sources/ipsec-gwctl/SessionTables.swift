internal import ArgumentParser
internal import FoundationEssentials
internal import ManagementAPI
internal import Wire

struct Sessions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The clients that are connected; all of one with its id or name.")
    @OptionGroup var flags: GlobalFlags

    @Argument(help: ArgumentHelp("A session's id, name, identity or address.", valueName: "id|name"))
    var match: SessionSelector?

    func run() async throws {
        let match = match
        let reports = try await flags.ask { client throws(ManagementError) in try await client.sessions(matching: match) }
        try flags.show(reports) {
            guard match == nil else { return Array(reports.map(Self.details).joined(separator: [""])) }
            return reports.isEmpty ? ["no sessions"] : Self.table(reports)
        }
        if let match, reports.isEmpty {
            Output.complain(
                "ipsec-gwctl: no session has the id, name or address \(EscapedText.shown(match.text)). 'ipsec-gwctl sessions' lists all")
            throw ExitCode.refused
        }
    }

    private static func table(_ reports: [SessionReport]) -> [String] {
        var table = Table([
            .init("ID"), .init("NAME", .left, .cut, least: 16), .init("INNER"), .init("REMOTE"), .init("GATEWAY", .left, .cut),
            .init("SINCE", .right), .init("IN", .right), .init("OUT", .right), .init("SAS", .right),
        ])
        let now = Date()
        for report in reports {
            table.append([
                [report.id], [report.name], report.innerAddresses.map(\.description), [report.remote], [report.gateway],
                [Quantity.span(seconds: UInt64(max(0, now.timeIntervalSince(report.established))))],
                [Quantity.octets(report.octetsIn)], [Quantity.octets(report.octetsOut)], [String(report.childSAs.count)],
            ])
        }
        return table.lines
    }

    private static func details(_ report: SessionReport) -> [String] {
        var listing = Listing()
        listing.append("id", report.id)
        listing.append("name", report.name)
        listing.append("identity", report.identity)
        listing.append("gateway", report.gateway)
        listing.append("remote", report.remote)
        listing.append("inner addresses", report.innerAddresses.map(\.description))
        listing.append("service", report.service)
        listing.append("interface", report.interface)
        listing.append("template", String(report.template))
        listing.append("established", report.established.formatted(.iso8601))
        listing.append("in", "\(report.octetsIn) octets, \(report.packetsIn) packets")
        listing.append("out", "\(report.octetsOut) octets, \(report.packetsOut) packets")
        listing.append("dropped", "\(report.drops) packets")
        listing.append("child SAs", report.childSAs)
        listing.append("accounting id", report.acctSessionId)
        if let authorization = report.authorization { append(authorization, to: &listing) }
        return listing.lines
    }

    /// What the RADIUS server said.
    private static func append(_ authorization: AuthorizationReport, to listing: inout Listing) {
        listing.append("radius server", authorization.server)
        if !authorization.classes.isEmpty { listing.append("class", authorization.classes) }
        for (name, seconds) in [
            ("session timeout", authorization.sessionTimeoutSeconds), ("idle timeout", authorization.idleTimeoutSeconds),
            ("interim interval", authorization.interimIntervalSeconds), ("SA lifetime", authorization.lifetimeSeconds),
        ] {
            if let seconds { listing.append(name, Quantity.span(seconds: seconds)) }
        }
        if let filter = authorization.filter { listing.append("filter", filter) }
        if let limit = authorization.portLimit { listing.append("port limit", String(limit)) }
        if let group = authorization.pfsGroup { listing.append("PFS group", group) }
        if !authorization.algorithms.isEmpty { listing.append("ESP", authorization.algorithms) }
        if let window = authorization.replayWindow { listing.append("replay window", String(window)) }
        if let netmask = authorization.netmask { listing.append("netmask", netmask) }
        if !authorization.dns.isEmpty { listing.append("DNS", authorization.dns) }
        if !authorization.routes.isEmpty { listing.append("routes", authorization.routes) }
    }
}

extension SessionSelector: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }
}

struct SecurityAssociations: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sas", abstract: "IKE and Child SAs: SPIs, algorithms, lifetimes, sequence numbers, worker.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let reports = try await flags.ask { client throws(ManagementError) in try await client.securityAssociations() }
        try flags.show(reports) {
            guard !reports.isEmpty else { return ["no SAs"] }
            let children = reports.flatMap { sa in sa.children.map { (sa.session, $0) } }
            return Self.ikeTable(reports) + (children.isEmpty ? [] : [""] + Self.childTable(children))
        }
    }

    private static func ikeTable(_ reports: [SecurityAssociationReport]) -> [String] {
        var table = Table([
            .init("SESSION"), .init("REMOTE"), .init("IKE SPIS"), .init("ALGORITHMS"), .init("STATE", .left, .cut, least: 11),
            .init("LEFT", .right),
        ])
        for sa in reports {
            table.append([
                [sa.session], [sa.remote], [sa.initiatorSPI, sa.responderSPI],
                [joined([sa.encryption, sa.integrity]), joined([sa.pseudorandomFunction, sa.keyExchange])], [sa.state],
                [left(sa.remainingSeconds)],
            ])
        }
        return table.lines
    }

    private static func childTable(_ children: [(session: String, sa: ChildReport)]) -> [String] {
        var table = Table([
            .init("SESSION"), .init("SPI", least: 14), .init("ALGORITHMS", least: 13), .init("SEQUENCE", .right),
            .init("PACKETS", .right), .init("REPLAY", .right), .init("SELECTORS", least: 16), .init("LEFT", .right),
            .init("WORKER", .right),
        ])
        for (session, sa) in children {
            let modes = [sa.extendedSequenceNumbers ? "esn" : "", sa.udpEncapsulation ? "udp" : ""]
            table.append([
                [session], ["in  \(sa.inboundSPI)", "out \(sa.outboundSPI)"],
                [joined([sa.encryption, sa.integrity]), joined(modes)], [String(sa.sequenceIn), String(sa.sequenceOut)],
                [String(sa.packetsIn), String(sa.packetsOut)],
                ["\(sa.replay.window)", "\(sa.replay.recent)"],
                sa.localSelectors.map { "local \($0)" } + sa.remoteSelectors.map { "remote \($0)" },
                [left(sa.remainingSeconds)], [String(sa.worker)],
            ])
        }
        return table.lines
    }

    private static func joined(_ names: [String]) -> String {
        names.filter { !$0.isEmpty }.joined(separator: "/")
    }

    private static func left(_ seconds: UInt64?) -> String {
        seconds.map { Quantity.span(seconds: $0) } ?? "-"
    }
}

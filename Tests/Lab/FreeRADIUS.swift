import Foundation
import Synchronization

/// FreeRADIUS 3.2 in a namespace, in a folder of its own, with the site, the modules and the dictionary of etc/freeradius.
package final class FreeRADIUS: Sendable {
    package let namespace: Namespace
    package let settings: FreeRADIUSSettings
    package let folder: String
    private let scenario: Scenario
    private let running: Mutex<LabProcess>

    private init(_ scenario: Scenario, _ namespace: Namespace, _ settings: FreeRADIUSSettings, folder: String, _ process: LabProcess) {
        self.scenario = scenario
        self.namespace = namespace
        self.settings = settings
        self.folder = folder
        running = Mutex(process)
    }

    /// Writes its folder, starts it and waits until it takes requests.
    package static func start(_ scenario: Scenario, in namespace: Namespace, _ settings: FreeRADIUSSettings) async throws -> FreeRADIUS {
        let folder = "\(scenario.folder)/\(settings.name)"
        try FreeRADIUSFolder(path: folder, settings: settings).write()
        let process = try await launch(scenario, namespace, folder, settings)
        return FreeRADIUS(scenario, namespace, settings, folder: folder, process)
    }

    private static func launch(
        _ scenario: Scenario, _ namespace: Namespace, _ folder: String, _ settings: FreeRADIUSSettings
    ) async throws -> LabProcess {
        let level = settings.isVerbose ? ["-xx"] : []
        let process = try await scenario.start(
            settings.name, ["/usr/sbin/freeradius", "-f", "-l", "stdout", "-d", folder] + level, in: namespace)
        do { try await process.waitForLine(containing: "Ready to process requests", timeout: .seconds(20)) } catch {
            throw LabError("FreeRADIUS did not get ready: \(error)\n\(process.output)")
        }
        return process
    }

    package var address: String { settings.address }
    package var output: String { process.output }
    private var process: LabProcess { running.withLock { $0 } }

    // MARK: Trouble

    /// Answers nothing, and keeps its sockets: a server that hangs.
    package func playDead() { process.signal(SIGSTOP) }

    /// Goes on; what waited in its sockets is answered late.
    package func revive() { process.signal(SIGCONT) }

    package func stop() async {
        revive()
        await process.stop()
    }

    package func killNow() async { await process.killNow() }

    /// The same server again; what it wrote before is kept.
    package func startAgain() async throws {
        let process = try await Self.launch(scenario, namespace, folder, settings)
        running.withLock { $0 = process }
    }

    /// Lets so many more requests reach its authentication port, and then none: a server that dies in the middle of a conversation.
    package func goesDeaf(after requests: Int) async throws {
        try await scenario.run(
            ["/usr/sbin/nft", "-f", "-"], in: namespace,
            input: """
                table ip \(settings.name) {
                    chain input {
                        type filter hook input priority 0; policy accept;
                        ip daddr \(address) udp dport 1812 limit rate over 1/day burst \(requests) packets drop
                    }
                }

                """
        ).required()
    }

    // MARK: What it saw

    /// Accounting records as they were stored, in order of arrival.
    package func accounting() throws -> [AccountingRecord] {
        try RADIUSRecord.parse(file: "\(folder)/radacct/ipsec-gw.detail").map(AccountingRecord.init)
    }

    /// Access-Requests and their replies, in order. Passwords are left out, and Message-Authenticator of replies is not the wire's.
    package func exchanges() throws -> [RADIUSRecord] {
        try RADIUSRecord.parse(file: "\(folder)/radacct/ipsec-gw.trace")
    }

    package func exchanges(_ kind: String) throws -> [RADIUSRecord] { try exchanges().filter { $0["Packet-Type"] == kind } }

    /// Waits for records of which `condition` holds; throws with all that came when it does not.
    @discardableResult
    package func waitForAccounting(
        timeout: Duration = .seconds(10), _ condition: ([AccountingRecord]) -> Bool
    ) async throws -> [AccountingRecord] {
        let found = try await eventually(within: timeout) {
            let records = try self.accounting()
            return condition(records) ? records : nil
        }
        guard let found else { throw LabError("accounting within \(timeout): \(try accounting().map(\.summary))") }
        return found
    }

    // MARK: What it asks

    /// Sends a Disconnect- or CoA-Request by radclient, once, from this server's address.
    ///
    /// - Parameter attributes: as radclient reads them: `User-Name = "alice"`.
    package func request(
        _ kind: DynamicRequest, _ attributes: [String], to gateway: String = RoadNetwork.gatewayLANAddress, port: UInt16 = 3799,
        from source: String? = nil, secret: String? = nil, timeout: Int = 3
    ) async throws -> DynamicReply? {
        let isIPv6 = gateway.contains(":")
        let own = source ?? (isIPv6 ? settings.address6 : settings.address) ?? settings.address
        let input = attributes + ["Packet-Src-IP\(isIPv6 ? "v6" : "")-Address = \(own)"]
        let destination = isIPv6 ? "[\(gateway)]:\(port)" : "\(gateway):\(port)"
        let result = try await scenario.run(
            ["/usr/bin/radclient", "-x", "-d", folder, "-t", "\(timeout)", "-r", "1", destination, kind.rawValue, secret ?? settings.secret],
            in: namespace, input: input.joined(separator: "\n") + "\n", timeout: .seconds(timeout + 10))
        return try DynamicReply(radclient: result.output)
    }

    /// Asks this server itself by radclient, from the machine of one of its clients: what the lab is tested with.
    ///
    /// - Parameter kind: auth, or acct.
    package func ask(_ kind: String, from client: Namespace, _ attributes: [String], secret: String? = nil) async throws -> CommandResult {
        try await scenario.run(
            [
                "/usr/bin/radclient", "-x", "-d", folder, "-t", "2", "-r", "1", "\(address):\(kind == "acct" ? 1813 : 1812)", kind,
                secret ?? settings.secret,
            ],
            in: client, input: attributes.joined(separator: "\n") + "\n")
    }

    /// A whole EAP conversation by eapol_test, a client without a gateway.
    ///
    /// - Parameter network: lines of a network block: `eap=MD5`, `identity="alice"`.
    package func converse(from client: Namespace, isKeying: Bool = true, _ network: [String]) async throws -> EAPConversation {
        let file = try scenario.write(
            "network={\n key_mgmt=IEEE8021X\n eapol_flags=0\n \(network.joined(separator: "\n "))\n}\n", to: scenario.uniqueName("eapol"))
        let result = try await scenario.run(
            ["/usr/bin/eapol_test", "-c", file, "-a", address, "-s", settings.secret, "-t", "5", "-r", "0"] + (isKeying ? [] : ["-n"]), in: client)
        return EAPConversation(succeeded: result.succeeded, output: result.output)
    }
}

/// What eapol_test saw.
package struct EAPConversation: Sendable {
    /// Access-Accept with EAP-Success, and with MS-MPPE keys that are those of the method.
    package let succeeded: Bool
    package let output: String

    /// Names and values of the last reply's attributes, in order.
    package var reply: [(name: String, value: String)] {
        let lines = output.components(separatedBy: "\n")
        guard let last = lines.lastIndex(of: "Received RADIUS message") else { return [] }
        var found: [(String, String)] = []
        for line in lines[(last + 1)...] {
            if let name = line.firstMatch(of: #/^   Attribute \d+ \((.*?)\)/#) {
                found.append((String(name.1), ""))
            } else if line.hasPrefix("      Value: "), !found.isEmpty {
                found[found.count - 1].1 = String(line.dropFirst("      Value: ".count))
            } else if line.hasPrefix("STA ") {
                break
            }
        }
        return found
    }

    /// Replies that came, and how many of them had a Message-Authenticator.
    package var replies: (all: Int, authenticated: Int) {
        let parts = output.components(separatedBy: "Received RADIUS message\n").dropFirst()
        return (parts.count, parts.filter { $0.components(separatedBy: "\nSTA ").first?.contains("(Message-Authenticator)") ?? false }.count)
    }
}

/// What may be asked of the gateway (RFC 5176).
package enum DynamicRequest: String, Sendable {
    case disconnect
    case changeOfAuthorization = "coa"
}

/// The gateway's answer to a Disconnect- or CoA-Request.
package struct DynamicReply: Equatable, Sendable {
    package var isAcknowledged: Bool
    /// As FreeRADIUS names it: Session-Context-Not-Found.
    package var errorCause: String?
    package var attributes: [String]

    package init(isAcknowledged: Bool, errorCause: String? = nil, attributes: [String] = []) {
        (self.isAcknowledged, self.errorCause, self.attributes) = (isAcknowledged, errorCause, attributes)
    }

    /// nil: no answer came.
    init?(radclient output: String) throws {
        let lines = output.split(separator: "\n").map(String.init)
        guard let first = lines.firstIndex(where: { $0.hasPrefix("Received ") }) else {
            guard output.contains("No reply from server") else { throw LabError("radclient:\n\(output)") }
            return nil
        }
        isAcknowledged = lines[first].contains("-ACK ")
        attributes = lines[(first + 1)...].filter { $0.hasPrefix("\t") }.map { $0.trimmingCharacters(in: .whitespaces) }
        errorCause = attributes.first { $0.hasPrefix("Error-Cause = ") }.map { String($0.dropFirst("Error-Cause = ".count)) }
    }
}

import Foundation

/// strongSwan 5.9 in a namespace, with a configuration and a vici socket of its own. ESP is done in its process (kernel-libipsec).
package final class Charon: Sendable {
    package struct Settings: Sendable {
        /// Seconds before the first retransmission, and what each wait is multiplied by.
        package var retransmitTimeout = 1.0
        package var retransmitBase = 1.4
        package var retransmitTries = 5
        /// Octets of an IP packet, past which IKE goes in fragments; nil: strongSwan's 1280.
        package var fragmentSize: Int?
        /// Seconds between NAT keepalives; nil: strongSwan's 20.
        package var keepAlive: Int?
        /// Whether IKE is in the log message by message (level 2).
        package var isVerbose = false
        /// Octets of a fragment of EAP-TLS and EAP-TTLS; nil: strongSwan's 1024.
        package var eapFragmentSize: Int?
        /// Whether authenticating anew makes the new IKE SA before it deletes the old one.
        package var makesBeforeBreak = false
        /// Whether it asks for name servers and keeps those that it is given (`nameServers`).
        package var takesNameServers = false
        /// As a responder that asks this RADIUS server (eap-radius), with accounting and dynamic authorization.
        package var radius: FreeRADIUSSettings?
        package init() {}

        fileprivate var furtherPlugins: String { (radius == nil ? "" : " eap-radius") + (takesNameServers ? " resolve" : "") }
    }

    package let namespace: Namespace
    package let process: LabProcess
    private let scenario: Scenario
    private let name: String
    private let settingsFile: String
    private let socket: String

    private init(scenario: Scenario, namespace: Namespace, name: String, settingsFile: String, socket: String, process: LabProcess) {
        self.scenario = scenario
        self.namespace = namespace
        self.name = name
        self.settingsFile = settingsFile
        self.socket = socket
        self.process = process
    }

    /// Starts charon and waits until its vici socket answers.
    package static func start(_ scenario: Scenario, in namespace: Namespace, settings: Settings = Settings()) async throws -> Charon {
        let name = scenario.uniqueName("ss")
        let socket = "\(scenario.folder)/\(name.split(separator: "-").suffix(2).joined()).vici"
        let level = settings.isVerbose ? 2 : 1
        // aesni must stand before aes and gcm, or AES-GCM runs in portable C, eight times slower
        let file = try scenario.write(
            """
            charon-systemd {
              load = aesni aes des sha2 sha1 md5 mgf1 rdrand random nonce x509 constraints pubkey pkcs1 pkcs8 pem openssl gmp curve25519 hmac kdf xcbc cmac gcm ccm chapoly kernel-libipsec kernel-netlink socket-default eap-identity eap-md5 eap-gtc eap-mschapv2 eap-tls eap-ttls\(settings.furtherPlugins) vici
              # each login that is waited for takes one, and charon itself about ten
              threads = 32
              install_routes = yes
              install_virtual_ip = yes
              retransmit_timeout = \(settings.retransmitTimeout)
              retransmit_base = \(settings.retransmitBase)
              retransmit_tries = \(settings.retransmitTries)
              keep_alive = \(settings.keepAlive ?? 20)
              fragment_size = \(settings.fragmentSize ?? 1280)
              close_ike_on_child_failure = no
              delete_rekeyed_delay = 1
              make_before_break = \(settings.makesBeforeBreak ? "yes" : "no")
              plugins {
                vici { socket = unix://\(socket) }
                kernel-libipsec { allow_peer_ts = no }
                eap-tls { fragment_size = \(settings.eapFragmentSize ?? 1024) }
                eap-ttls { fragment_size = \(settings.eapFragmentSize ?? 1024) }
                resolve { file = \(scenario.folder)/\(name).resolv }
                \(settings.radius.map(eapRADIUS) ?? "")
              }
              filelog {
                stdout { default = \(level)
                  cfg = 1
                  lib = 1
                  esp = 1
                  flush_line = yes }
              }
              journal { default = -1 }
            }
            swanctl { load = pem pkcs1 pkcs8 x509 revocation constraints pubkey openssl random }

            """, to: "\(name).conf")
        let process = try await scenario.start(
            "charon", ["/usr/sbin/charon-systemd"], in: namespace, environment: ["STRONGSWAN_CONF": file])
        let charon = Charon(
            scenario: scenario, namespace: namespace, name: name, settingsFile: file, socket: socket, process: process)
        let answers = try await becomesTrue(within: .seconds(15)) {
            guard process.isRunning else { throw LabError("charon did not start:\n\(process.output)") }
            return FileManager.default.fileExists(atPath: socket) ? try await charon.swanctl(["--stats"]).succeeded : false
        }
        guard answers else { throw LabError("charon's vici socket does not answer:\n\(process.output)") }
        return charon
    }

    private static func eapRADIUS(_ server: FreeRADIUSSettings) -> String {
        let servers = "servers {\n lab {\n address = \(server.address)\n secret = \"\(server.secret)\"\n }\n }"
        let requests = "dae {\n enable = yes\n listen = 0.0.0.0\n port = 3799\n secret = \"\(server.secret)\"\n }"
        return "eap-radius {\n accounting = yes\n class_group = no\n \(servers)\n \(requests)\n }"
    }

    /// Starts charon with these connections loaded.
    package static func start(
        _ scenario: Scenario, in namespace: Namespace, settings: Settings = Settings(), _ connections: CharonConnection...
    ) async throws -> Charon {
        let charon = try await start(scenario, in: namespace, settings: settings)
        try await charon.load(connections)
        return charon
    }

    package func swanctl(_ arguments: [String], timeout: Duration = .seconds(60)) async throws -> CommandResult {
        try await scenario.run(
            ["/usr/sbin/swanctl"] + arguments + ["--uri", "unix://\(socket)"], in: namespace,
            environment: ["STRONGSWAN_CONF": settingsFile], timeout: timeout)
    }

    /// Where swanctl looks for certificates and keys: beside its file.
    private var folder: String { "\(scenario.folder)/\(name).d" }

    /// Puts a certificate with its key in place, PEM both; the next `load` takes them up. Returns the name for `CharonConnection.certificate`.
    package func add(certificate: String, key: String, intermediates: [String] = []) throws -> String {
        let file = "own-\(abs(certificate.hashValue)).pem"
        try place(certificate, in: "x509", as: file)
        try place(key, in: "private", as: file)
        for (index, intermediate) in intermediates.enumerated() { try place(intermediate, in: "x509ca", as: "\(index)-\(file)") }
        return file
    }

    /// Trusts a CA, PEM.
    package func trust(_ authority: String) throws {
        try place(authority, in: "x509ca", as: "ca-\(abs(authority.hashValue)).pem")
    }

    private func place(_ text: String, in kind: String, as file: String) throws {
        try FileManager.default.createDirectory(atPath: "\(folder)/\(kind)", withIntermediateDirectories: true)
        try text.write(toFile: "\(folder)/\(kind)/\(file)", atomically: true, encoding: .utf8)
    }

    /// Replaces all connections, secrets and pools.
    package func load(_ connections: [CharonConnection]) async throws {
        try await load(swanctl: CharonConnection.swanctlFile(connections))
    }

    /// Replaces them by what a swanctl.conf says.
    package func load(swanctl text: String) async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let file = try scenario.write(text, to: "\(name).d/swanctl.conf")
        try await swanctl(["--load-all", "--clear", "--noprompt", "--file", file]).required()
    }

    /// Takes up a folder as it would be copied to /etc/swanctl: connections in conf.d, certificates and keys in the folders beside it.
    package func load(installing tree: String) async throws {
        for kind in try FileManager.default.contentsOfDirectory(atPath: tree) {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(kind)", withIntermediateDirectories: true)
            for file in try FileManager.default.contentsOfDirectory(atPath: "\(tree)/\(kind)") {
                try FileManager.default.copyItem(atPath: "\(tree)/\(kind)/\(file)", toPath: "\(folder)/\(kind)/\(file)")
            }
        }
        // as Debian's own file has it
        try await load(swanctl: "include conf.d/*.conf\n")
    }

    /// Asks for a connection; the result is swanctl's exit and what charon said while it tried.
    package func initiate(_ child: String = CharonConnection.childName, timeout: Duration = .seconds(25)) async throws -> CommandResult {
        try await swanctl(
            ["--initiate", "--child", child, "--timeout", "\(timeout.components.seconds)"], timeout: timeout + .seconds(5))
    }

    /// Connects, or throws with charon's log. Returns the SA.
    @discardableResult
    package func connect(_ child: String = CharonConnection.childName) async throws -> CharonSA {
        let result = try await initiate(child)
        guard result.succeeded else { throw LabError("strongSwan could not connect:\n\(result.output)") }
        let sa = try await sas().last { $0.state == "ESTABLISHED" && !$0.children.isEmpty }
        guard let sa else { throw LabError("strongSwan says it is connected but lists no SA:\n\(result.output)") }
        return sa
    }

    @discardableResult
    package func terminate(ike name: String = "rw") async throws -> CommandResult {
        try await swanctl(["--terminate", "--ike", name, "--timeout", "10"])
    }

    /// Begins to authenticate anew (RFC 7296 section 2.8.3): a new IKE SA with new Child SAs in the place of this one.
    package func reauthenticate(ike name: String = "rw") async throws {
        try await swanctl(["--rekey", "--ike", name, "--reauth"]).required()
    }

    /// Ends a connection here, without a word to the peer. Not an error when there is none.
    package func forget(ike name: String) async throws {
        _ = try await swanctl(["--terminate", "--force", "--ike", name, "--timeout", "10"])
    }

    /// Name servers that it was given, in the order of its file.
    package func nameServers() -> [String] {
        let text = (try? String(contentsOfFile: "\(scenario.folder)/\(name).resolv", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").filter { $0.hasPrefix("nameserver ") }.compactMap {
            $0.split(separator: " ").dropFirst().first.map(String.init)
        }
    }

    /// Its SAs as they are now.
    package func sas() async throws -> [CharonSA] {
        try CharonSA.parse(try await swanctl(["--list-sas", "--raw"]).required())
    }

    /// Dies without a word to the peer.
    package func killNow() async {
        await process.killNow()
        unlink(socket)
    }
}

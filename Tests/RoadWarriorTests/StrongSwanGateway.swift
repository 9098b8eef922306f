import Foundation

/// A command's end and what it said.
struct Outcome {
    let status: Int32
    let output: String
}

/// A process whose output is read as it comes.
final class Running: @unchecked Sendable {
    private let process = Process()
    private let lock = NSLock()
    private var collected = Data()

    init(_ words: [String], environment: [String: String] = [:]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = environment.map { "\($0)=\($1)" } + words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let reader = Thread { [weak self] in
            while true {
                let data = pipe.fileHandleForReading.availableData
                guard !data.isEmpty, let self else { return }
                self.lock.withLock { self.collected.append(data) }
            }
        }
        reader.start()
    }

    var output: String { lock.withLock { String(decoding: collected, as: UTF8.self) } }
    var isRunning: Bool { process.isRunning }

    /// Whether the output holds the text within the time.
    func waitFor(_ text: String, seconds: Double) -> Bool {
        waitUntil(seconds) { self.output.contains(text) || !self.process.isRunning } && output.contains(text)
    }

    /// The exit status, or nil when it does not end in time.
    func end(seconds: Double) -> Int32? {
        guard waitUntil(seconds, { !self.process.isRunning }) else { return nil }
        Thread.sleep(forTimeInterval: 0.05)
        return process.terminationStatus
    }

    func terminate() { if process.isRunning { process.terminate() } }

    func stop() {
        terminate()
        if !waitUntil(5, { !self.process.isRunning }) { kill(process.processIdentifier, SIGKILL) }
    }
}

func waitUntil(_ seconds: Double, _ condition: () -> Bool) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
        if condition() { return true }
        Thread.sleep(forTimeInterval: 0.05)
    }
    return condition()
}

@discardableResult
func command(_ words: String..., environment: [String: String] = [:]) throws -> Outcome {
    let running = try Running(words, environment: environment)
    let status = running.end(seconds: 30)
    return Outcome(status: status ?? -1, output: running.output)
}

/// strongSwan as a gateway in a network namespace of its own, and an empty namespace for the client:
///
///     client 198.51.100.2 ---- veth ---- 198.51.100.1 charon, 10.9.0.1 on lo; pool 10.8.0.0/24
final class StrongSwanGateway {
    static let psk = "a key for the tests of our own client"
    static let charon = "/usr/sbin/charon-systemd"
    /// Why this machine cannot run it, or nil.
    static var missing: String? {
        // In CI nothing is left out: what is missing there fails.
        if ProcessInfo.processInfo.environment["CI"] != nil { return nil }
        if geteuid() != 0 { return "namespaces need root" }
        for path in [charon, "/usr/sbin/swanctl", "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "/dev/net/tun"]
        where !FileManager.default.fileExists(atPath: path) { return "\(path) is missing" }
        return nil
    }

    let client: String
    let server: String
    private let folder: URL
    private var process: Running?

    /// A gateway with a certificate, and a CA whose clients may come in.
    struct Certificates {
        /// PEM: the gateway's, its key, and the CA.
        let certificate: String
        let key: String
        let authority: String
        var intermediates: [String] = []
        /// swanctl's `auth` of either side: pubkey, psk, ike:rsa/pss ...
        var gatewayAuth = "pubkey"
        var clientAuth = "pubkey"
    }

    /// Clients prove themselves by this method of charon's own.
    struct EAP {
        /// As strongSwan has it: mschapv2, md5, gtc.
        let method: String
        /// Passwords by name.
        var users: [String: String]
    }

    init(
        ike: String, esp: String, psk: String = StrongSwanGateway.psk, eap: EAP? = nil, certificates: Certificates? = nil, fragmentSize: Int = 1280,
        childRekey: String = "1h", childRekeyPackets: Int = 0, ikeRekey: String = "4h"
    ) throws {
        let tag = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        client = "rwc-\(tag)"
        server = "rws-\(tag)"
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("roadwarrior-\(tag)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in [client, server] { try run("ip", "netns", "add", name) }
        try run("ip", "link", "add", "eth0", "netns", client, "type", "veth", "peer", "name", "eth0", "netns", server)
        for (name, address) in [(client, "198.51.100.2/24"), (server, "198.51.100.1/24")] {
            try run("ip", "-n", name, "link", "set", "lo", "up")
            try run("ip", "-n", name, "address", "add", address, "dev", "eth0")
            try run("ip", "-n", name, "link", "set", "eth0", "up")
        }
        try run("ip", "-n", server, "address", "add", "10.9.0.1/32", "dev", "lo")
        try Data(
            """
            charon-systemd {
              load = aesni aes des sha2 sha1 md5 mgf1 random nonce x509 constraints pubkey pkcs1 pkcs8 pem openssl gmp curve25519 hmac kdf xcbc gcm chapoly md4 fips-prf eap-identity eap-mschapv2 eap-md5 kernel-libipsec kernel-netlink socket-default vici
              fragment_size = \(fragmentSize)
              delete_rekeyed_delay = 1
              plugins { vici { socket = unix://\(socket) } }
              filelog {
                log {
                  path = \(folder.path)/log
                  default = 1
                  flush_line = yes
                }
              }
              journal { default = -1 }
            }
            swanctl { load = pem pkcs1 pkcs8 x509 constraints pubkey openssl random }
            """.utf8
        ).write(to: folder.appendingPathComponent("strongswan.conf"))
        if let certificates {
            try place(certificates.certificate, "x509/gateway.pem")
            try place(certificates.key, "private/gateway.pem")
            try place(certificates.authority, "x509ca/ca.pem")
            for (index, text) in certificates.intermediates.enumerated() { try place(text, "x509ca/between\(index).pem") }
        }
        let users = (eap?.users ?? [:]).enumerated().map { number, user in
            "eap-\(number) {\nid = \"\(user.key)\"\nsecret = \"\(user.value)\"\n}"
        }.joined(separator: "\n")
        try Data(
            """
            connections {
              rw {
                version = 2
                local_addrs = 198.51.100.1
                proposals = \(ike)
                pools = pool
                dpd_delay = 2s
                rekey_time = \(ikeRekey)
                over_time = 1h
                rand_time = 1s
                local {
                  auth = \(certificates?.gatewayAuth ?? "psk")
                  \(certificates == nil ? "" : "certs = gateway.pem")
                  id = gw.example.org
                }
                remote {
                  auth = \(eap.map { "eap-" + $0.method } ?? certificates?.clientAuth ?? "psk")
                  \(eap == nil ? "" : "eap_id = %any")
                }
                children {
                  net {
                    local_ts = 10.9.0.0/16
                    esp_proposals = \(esp)
                    rekey_time = \(childRekey)
                    life_time = 2h
                    rand_time = 1s
                    rekey_packets = \(childRekeyPackets)
                  }
                }
              }
            }
            pools {
              pool {
                addrs = 10.8.0.0/24
                dns = 10.9.0.53
              }
            }
            secrets {
              ike-any { secret = "\(psk)" }
              \(users)
            }
            """.utf8
        ).write(to: folder.appendingPathComponent("swanctl.conf"))
        let running = try Running(["ip", "netns", "exec", server, Self.charon], environment: environment)
        process = running
        guard waitUntil(15, { FileManager.default.fileExists(atPath: self.socket) }) else { throw Fault("no vici socket: \(log)") }
        let loaded = try swanctl("--load-all", "--file", folder.appendingPathComponent("swanctl.conf").path)
        guard loaded.status == 0 else { throw Fault(loaded.output) }
    }

    struct Fault: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private func run(_ words: String...) throws {
        let running = try Running(words)
        guard running.end(seconds: 20) == 0 else { throw Fault(words.joined(separator: " ") + ": " + running.output) }
    }

    private func place(_ text: String, _ path: String) throws {
        let file = folder.appendingPathComponent(path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    /// A file of the client's, by its path.
    func write(_ text: String, to name: String) throws -> String {
        try place(text, "client/\(name)")
        return folder.appendingPathComponent("client/\(name)").path
    }

    private var socket: String { folder.appendingPathComponent("vici").path }
    private var environment: [String: String] {
        ["STRONGSWAN_CONF": folder.appendingPathComponent("strongswan.conf").path]
    }
    var log: String {
        (try? String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)) ?? process?.output ?? ""
    }

    func swanctl(_ words: String...) throws -> Outcome {
        let running = try Running(
            ["ip", "netns", "exec", server, "/usr/sbin/swanctl"] + words + ["--uri", "unix://\(socket)"], environment: environment)
        let status = running.end(seconds: 30)
        return Outcome(status: status ?? -1, output: running.output)
    }

    /// Our program in the client's namespace. It is told that the gateway is ours: in a container it may not see that for itself.
    func load(_ words: String...) throws -> Running { try load(words: words) }

    /// - Parameter isBehind: on the gateway's machine instead, at 10.9.0.1.
    func load(words: [String], isBehind: Bool = false) throws -> Running {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("ipsec-load")
        return try Running(["ip", "netns", "exec", isBehind ? server : client, program.path] + words + ["--yes-this-is-my-gateway"])
    }

    /// Makes 198.51.100.128/25 the client's own, and has it get what is sent to 198.18.0.0/15.
    func widenClient() throws {
        try run("ip", "-n", client, "route", "add", "local", "198.51.100.128/25", "dev", "lo")
        try run("ip", "-n", server, "route", "add", "198.18.0.0/15", "via", "198.51.100.2")
    }

    func remove() {
        process?.stop()
        for name in [client, server] { _ = try? command("ip", "netns", "delete", name) }
        try? FileManager.default.removeItem(at: folder)
    }
}

import Foundation

/// The folder of a FreeRADIUS (`-d`): etc/freeradius as Debian's folder would hold it, with a radiusd.conf that shares nothing with the machine's own.
struct FreeRADIUSFolder {
    let path: String
    let settings: FreeRADIUSSettings

    /// etc/freeradius of this checkout.
    static var samples: String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return root.appendingPathComponent("etc/freeradius").path
    }

    func write() throws {
        for folder in ["mods-enabled", "sites-enabled", "mods-config/ipsec-gw", "certs/ipsec-gw", "radacct", "run"] {
            try FileManager.default.createDirectory(atPath: "\(path)/\(folder)", withIntermediateDirectories: true)
        }
        try put(configuration, "radiusd.conf")
        try put("$INCLUDE \(Self.samples)/dictionary.ipsec-gw\n", "dictionary")
        try put(try clients(), "clients.conf")
        try put(sockets, "sites-enabled/sockets")
        try put("pap {\n}\nmschap {\n}\n", "mods-enabled/basic")
        try put(try modules(), "mods-enabled/ipsec-gw")
        try put(try sample("mods-available/ipsec-gw-trace"), "mods-enabled/ipsec-gw-trace")
        try put(try site(), "sites-enabled/ipsec-gw")
        try put(try sample("sites-available/ipsec-gw-inner"), "sites-enabled/ipsec-gw-inner")
        try put(settings.usersText, "mods-config/ipsec-gw/users")
        try put(settings.sessionsText, "mods-config/ipsec-gw/sessions")
        if let certificates = settings.certificates {
            try put(certificates.certificate, "certs/ipsec-gw/server.pem")
            try put(certificates.key, "certs/ipsec-gw/server.key")
            try put(certificates.authority, "certs/ipsec-gw/ca.pem")
        }
    }

    private func put(_ text: String, _ file: String) throws {
        try text.write(toFile: "\(path)/\(file)", atomically: true, encoding: .utf8)
    }

    private func sample(_ file: String) throws -> String { try String(contentsOfFile: "\(Self.samples)/\(file)", encoding: .utf8) }

    /// Replaces what must be in a sample: a changed sample is an error here, and not a lab that tests something else.
    private func replacing(_ text: String, _ old: String, by new: String) throws -> String {
        guard text.contains(old) else { throw LabError("etc/freeradius has no “\(old)” any more") }
        return text.replacingOccurrences(of: old, with: new)
    }

    /// The sample's client once for each address.
    private func clients() throws -> String {
        let sample = try sample("clients.conf")
        return try settings.clients.enumerated().map { number, address in
            var text = try replacing(sample, "client ipsec-gw {", by: "client ipsec-gw-\(number) {")
            text = try replacing(text, "ipaddr = 10.0.0.1", by: "\(address.contains(":") ? "ipv6addr" : "ipaddr") = \(address)")
            return try replacing(text, "secret = replace-this-secret", by: "secret = \"\(settings.secret)\"")
        }.joined(separator: "\n")
    }

    private func modules() throws -> String {
        var text = try sample("mods-available/ipsec-gw")
        if settings.certificates == nil {
            // what needs a certificate stands at the end of the file
            guard let begin = text.range(of: "\ttls-config ipsec_gw_tls {") else { throw LabError("etc/freeradius: no tls-config") }
            text = text[..<begin.lowerBound] + "}\n"
        }
        if let size = settings.eapFragmentSize { text = try replacing(text, "fragment_size = 1024", by: "fragment_size = \(size)") }
        // the method of the site, then those inside TTLS and PEAP
        let first = "default_eap_type = mschapv2"
        var parts = text.components(separatedBy: first)
        guard parts.count == (settings.certificates == nil ? 2 : 4) else { throw LabError("etc/freeradius: \(parts.count - 1) of “\(first)”") }
        let inner = settings.firstInnerEAPMethod.map { "default_eap_type = \($0)" } ?? first
        text = parts.removeFirst() + (settings.firstEAPMethod.map { "default_eap_type = \($0)" } ?? first) + parts.joined(separator: inner)
        return text
    }

    private func site() throws -> String {
        let text = try sample("sites-available/ipsec-gw")
        if settings.hasMessageAuthenticatorLines { return text }
        return try replacing(text, "&Message-Authenticator := 0x00", by: "&Message-Authenticator !* ANY")
    }

    private var sockets: String {
        let addresses = ["ipaddr = \(settings.address)"] + (settings.address6.map { ["ipv6addr = \($0)"] } ?? [])
        return addresses.flatMap { address in
            [("auth", 1812), ("acct", 1813)].map { kind, port in
                "listen {\n\ttype = \(kind)\n\t\(address)\n\tport = \(port)\n\tvirtual_server = ipsec-gw\n}\n"
            }
        }.joined()
    }

    private var configuration: String {
        """
        prefix = /usr
        confdir = \(path)
        raddbdir = ${confdir}
        logdir = ${confdir}
        radacctdir = ${confdir}/radacct
        certdir = ${confdir}/certs
        run_dir = ${confdir}/run
        libdir = /usr/lib/freeradius
        name = freeradius
        pidfile = ${run_dir}/freeradius.pid
        max_requests = 4096
        max_request_time = 30
        cleanup_delay = 5
        hostname_lookups = no
        proxy_requests = no
        log {
            destination = stdout
            auth = yes
        }
        security {
            max_attributes = 200
            reject_delay = 0
            status_server = yes
        }
        thread pool {
            start_servers = 2
            max_servers = 4
            min_spare_servers = 1
            max_spare_servers = 2
            max_requests_per_server = 0
        }
        $INCLUDE clients.conf
        modules {
            $INCLUDE mods-enabled/
        }
        $INCLUDE sites-enabled/

        """
    }
}

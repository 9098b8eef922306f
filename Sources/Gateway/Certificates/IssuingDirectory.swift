import GatewayCrypto
import LinuxIO
package import PKI
import Wire

/// Why nothing was issued: one plain text that says what to do.
package struct IssuingFailure: Error, CustomStringConvertible, Sendable {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The files of a private CA: what `ipsec-gw pki` makes and `make run` begins with.
///
/// ```
/// ca.pem  ca.key  server.pem  server.key      clients/NAME/...
/// ```
package struct IssuingDirectory: Sendable {
    package static let standard = "/etc/ipsec-gw/pki"
    /// RSA for everyone: an iPhone that was set up by hand refuses a gateway with an ECDSA certificate (clients.md).
    package static let standardKeys = IssuingKey.Kind.rsa(bits: 3072)
    /// How far back a certificate begins, so that clocks may differ.
    static let slack = Duration.seconds(3600)

    package let path: String
    private let keys: IssuingKey.Kind
    private let entropy = SystemEntropy()

    /// Other keys than the standard's are for tests, which need not wait for primes.
    package init(_ path: String, keys: IssuingKey.Kind = standardKeys) {
        self.path = path
        self.keys = keys
    }

    private var authorityFile: String { path + "/ca.pem" }
    private var authorityKey: String { path + "/ca.key" }
    private var serverFile: String { path + "/server.pem" }
    private var serverKey: String { path + "/server.key" }

    /// What was made.
    package struct Made: Sendable {
        /// The gateway's names, or the client's.
        package let names: [String]
        /// When it ends, RFC 3339.
        package let end: String
        /// Where it lies.
        package let path: String
    }

    /// What was made for a client.
    package struct MadeBundle: Sendable {
        package let made: Made
        /// Of the .p12 and the .mobileconfig; stands nowhere else.
        package let password: String
        /// What the client will call the gateway.
        package let gateway: String
    }

    // MARK: The CA and the gateway

    /// A CA and the gateway's certificate; whatever is there already stays as it is. Throws `IssuingFailure`.
    package func create(names: [String], days: Int) throws(IssuingFailure) -> Made {
        try explained { try createUnexplained(names: names, days: days) }
    }

    private func createUnexplained(names: [String], days: Int) throws -> Made {
        try Self.check(names, days)
        guard Self.isAbsent(authorityFile), Self.isAbsent(authorityKey), Self.isAbsent(serverFile) else {
            throw IssuingFailure(
                "\(path) holds a CA already, which clients trust: `ipsec-gw pki server` renews the gateway's certificate, `ipsec-gw pki client NAME` "
                    + "adds a client; for a new CA, which no client knows, move \(path) away first")
        }
        let now = CertificateTime.now
        let title = "ipsec-gw CA \(names[0])"
        let ca = try PrivateCA(
            generating: title.utf8.count <= 64 ? title : "ipsec-gw CA", kind: keys,
            validity: PrivateCA.Validity(from: now + (.zero - Self.slack), days: PrivateCA.rootDays), entropy: entropy)
        let server = try ca.issueServer(names: names, kind: keys, validity: Self.validity(days, at: now), entropy: entropy)
        var folder = try FolderInMaking(path)
        for (name, text) in [("ca.pem", ca.certificate.pem), ("server.pem", server.certificate.pem)] {
            try unsafe Array(text.utf8).withUnsafeBytes { octets in try unsafe folder.add(name, octets, mode: 0o644) }
        }
        for (name, key) in [("ca.key", ca.key), ("server.key", server.key)] {
            try unsafe key.pem().withUnsafeBytes { octets in try unsafe folder.add(name, octets, mode: 0o600) }
        }
        try folder.finish()
        return Made(names: names, end: "\(server.certificate.notAfter)", path: path)
    }

    /// Another certificate for the gateway, with a key of its own; the names stay unless others are given. Throws `IssuingFailure`.
    package func renewServer(names: [String], days: Int) throws(IssuingFailure) -> Made {
        try explained {
            let ca = try authority()
            let names = names.isEmpty ? try presentNames() : names
            try Self.check(names, days)
            let server = try ca.issueServer(names: names, kind: keys, validity: Self.validity(days, at: .now), entropy: entropy)
            try unsafe server.key.pem().withUnsafeBytes { octets in try unsafe WholeFile.replace(serverKey, with: octets, mode: 0o600) }
            try unsafe Array(server.certificate.pem.utf8).withUnsafeBytes { octets in
                try unsafe WholeFile.replace(serverFile, with: octets, mode: 0o644)
            }
            return Made(names: names, end: "\(server.certificate.notAfter)", path: serverFile)
        }
    }

    // MARK: Clients

    /// A client's certificate with all that its device needs, in a folder that must not be there yet; nil: `clients/NAME`. Throws `IssuingFailure`.
    package func createClient(_ name: String, folder: String?, days: Int) throws(IssuingFailure) -> MadeBundle {
        try explained {
            try Self.check(days)
            guard ClientBundle.isUsable(name) else {
                throw IssuingFailure(
                    "\"\(EscapedName.text(name.utf8))\" is no name for a client: 1 to 64 letters, digits and .-_@, such as laptop or alice@example.com"
                )
            }
            let ca = try authority()
            let server = try serverCertificate()
            let place = folder ?? "\(path)/clients/\(name)"
            guard Self.isAbsent(place) else {
                throw IssuingFailure("\(place) is there already: take another name, or move it away to make a new certificate for \(name)")
            }
            let issued = try ca.issueClient(identity: name, kind: keys, validity: Self.validity(days, at: .now), entropy: entropy)
            let password = Self.password(entropy)
            let bundle = try ClientBundle(issued, name: name, gateway: server, password: password, entropy: entropy)
            var making = try FolderInMaking(place)
            for file in bundle.files {
                try unsafe file.octets.withUnsafeBytes { octets in try unsafe making.add(file.path, octets, mode: 0o600) }
            }
            try unsafe issued.key.pem().withUnsafeBytes { octets in try unsafe making.add(bundle.keyPath, octets, mode: 0o600) }
            try making.finish()
            let made = Made(names: [name], end: "\(issued.certificate.notAfter)", path: place)
            return MadeBundle(made: made, password: password, gateway: bundle.gateway)
        }
    }

    /// Twenty symbols of thirty-two, 100 bits: none that is mistaken for another, to be typed on a telephone.
    static func password(_ entropy: any Entropy) -> String {
        let symbols = Array("abcdefghijkmnpqrstuvwxyz23456789")
        let drawn = entropy.octets(20).map { symbols[Int($0 & 31)] }
        return stride(from: 0, to: drawn.count, by: 4).map { String(drawn[$0..<$0 + 4]) }.joined(separator: "-")
    }

    // MARK: What is there

    private func authority() throws -> PrivateCA {
        guard !Self.isAbsent(authorityFile), !Self.isAbsent(authorityKey) else {
            throw IssuingFailure("no CA in \(path): `ipsec-gw pki init --directory \(path)` makes one")
        }
        let ca: PrivateCA
        do {
            ca = try PrivateCA(
                certificateFile: try Self.read(authorityFile), keyFile: try CertificateFile.secret(authorityKey).exposed())
        } catch let error as IssuingError {
            throw IssuingFailure("\(authorityFile) and \(authorityKey) are no CA: \(error.text); bring them back from a backup")
        }
        guard ca.certificate.isValid(at: .now) else {
            throw IssuingFailure(
                "the CA \(authorityFile) is valid from \(ca.certificate.notBefore) to \(ca.certificate.notAfter) only: look at the clock, or move \(path) "
                    + "away and make a new one, with new bundles for all clients")
        }
        return ca
    }

    private func serverCertificate() throws -> Certificate {
        guard !Self.isAbsent(serverFile) else {
            throw IssuingFailure("no \(serverFile), so the gateway's name is not known: `ipsec-gw pki server --name NAME` makes one")
        }
        do {
            return try Certificate(file: try Self.read(serverFile))
        } catch let error as CertificateError {
            throw IssuingFailure("\(serverFile) is no certificate: \(error); `ipsec-gw pki server --name NAME` makes a new one")
        }
    }

    /// The names of the certificate in use, what clients type first; each address stands there as a domain name too.
    private func presentNames() throws -> [String] {
        let certificate = try serverCertificate()
        var names = certificate.connectName.map { [$0] } ?? []
        for name in certificate.subjectAlternativeNames {
            guard case .dns(let text) = name else { continue }
            let name = String(decoding: text, as: UTF8.self)
            if !names.contains(name) { names.append(name) }
        }
        guard !names.isEmpty else { throw IssuingFailure("\(serverFile) has no name of a gateway: give one with --name") }
        return names
    }

    private static func read(_ path: String) throws(IssuingFailure) -> [UInt8] {
        do throws(CertificateFile.Failure) {
            return try CertificateFile.certificate(path)
        } catch {
            throw IssuingFailure("\(path): \(error.text)")
        }
    }

    private static func isAbsent(_ path: String) -> Bool { !FileStatus.exists(path) }

    // MARK: Names and times

    /// What clients reach this machine by, without asking anybody: the default route's address and the host name.
    package static func namesOfThisMachine() throws(IssuingFailure) -> [String] {
        var names: [String] = []
        do throws(SystemError) {
            var netlink = try Netlink()
            for family in [AddressFamily.ipv4, .ipv6] where names.isEmpty {
                if let address = try netlink.defaultAddress(family) { names.append(address.description) }
            }
        } catch {
            throw IssuingFailure("the address of this machine cannot be looked up: \(error); give the gateway's names with --name")
        }
        let host = Machine.hostName
        if isDomainName(host), host != "localhost", !host.hasPrefix("localhost.") { names.append(host) }
        guard !names.isEmpty else {
            throw IssuingFailure("this machine has neither a default route nor a host name: give the gateway's names with --name")
        }
        return names
    }

    private static func check(_ names: [String], _ days: Int) throws(IssuingFailure) {
        for name in names where IPAddress(name) == nil && !isDomainName(name) {
            throw IssuingFailure(
                "\"\(EscapedName.text(name.utf8))\" is neither an address nor a host name: give what clients type, such as vpn.example.com")
        }
        guard (1...32).contains(names.count) else { throw IssuingFailure("\(names.count) names: give 1 to 32 with --name, what clients type first") }
        guard Set(names).count == names.count else { throw IssuingFailure("a name twice: give each once") }
        try check(days)
    }

    private static func check(_ days: Int) throws(IssuingFailure) {
        guard (1...PrivateCA.endEntityDays).contains(days) else {
            throw IssuingFailure("\(days) days: give 1 to \(PrivateCA.endEntityDays); Apple's devices refuse certificates for longer")
        }
    }

    static func isDomainName(_ name: String) -> Bool {
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        return (1...253).contains(name.utf8.count)
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                    && label.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 }
            }
    }

    private static func validity(_ days: Int, at now: CertificateTime) -> PrivateCA.Validity {
        PrivateCA.Validity(from: now + (.zero - slack), days: days)
    }

    /// Every cause as one plain text.
    private func explained<Value>(_ body: () throws -> Value) throws(IssuingFailure) -> Value {
        do {
            return try body()
        } catch let failure as IssuingFailure {
            throw failure
        } catch let error as CertificateFile.Failure {
            throw IssuingFailure("\(path): \(error.text)")
        } catch let error as IssuingError {
            throw IssuingFailure("nothing was issued: \(error.text)")
        } catch ClientBundle.Problem.gatewayName {
            throw IssuingFailure("\(serverFile) has no name that a client could type: `ipsec-gw pki server --name NAME` makes a new one")
        } catch ClientBundle.Problem.issuing(let error) {
            throw IssuingFailure("nothing was issued: \(error.text)")
        } catch {
            throw IssuingFailure("\(error)")
        }
    }
}

extension IssuingError {
    fileprivate var text: String {
        switch self {
        case .noKey: "no private key that can be read"
        case .noAuthority: "the key does not belong to the certificate, or that is none of a CA"
        case .badValue: "a name that cannot stand in a certificate"
        case .library: "the cryptographic library refused"
        }
    }
}

import AddressAssignment
import ESP
import IKE
import Wire

/// A configuration in the making: the tables of the file by name, and which object names which.
final class Draft {
    let reader: Reader
    let capabilities: Capabilities
    var configuration: Configuration

    var tunnelGroups = Table<TunnelGroup>("tunnel-group")
    var services = Table<Table<PrivateInterface>>("service")
    var dhcpServers = Table<Table<LocalPool.Settings>>("local-dhcp-server")
    var radiusServers = Table<RADIUSServer>("radius-server")
    var serverPolicies = Table<RADIUSServerPolicy>("server-policy")
    var caProfiles = Table<CAProfile>("ca-profile")
    var certificateProfiles = Table<CertificateProfile>("cert-profile")
    var trustAnchorProfiles = Table<TrustAnchorProfile>("trust-anchor-profile")
    var ikeTransforms = Table<IKETransform>("ike-transform")
    var ipsecTransforms = Table<IPsecTransform>("ipsec-transform")
    var policies = Table<IKEPolicy>("ike-policy")
    var templates = Table<SessionTemplate>("tunnel-template")
    var selectorLists = Table<TrafficSelectorList>("ts-list")
    var authenticationPolicies = Table<RADIUSAuthenticationPolicy>("authentication-policy")
    var accountingPolicies = Table<RADIUSAccountingPolicy>("accounting-policy")
    var clientDatabases = Table<ClientDatabase>("client-db")
    var gateways = Table<GatewayConfiguration>("ipsec-gateway")

    /// From the path of an object to those that it names.
    private var edges: [String: [String]] = [:]

    init(reader: Reader, capabilities: Capabilities) {
        self.reader = reader
        self.capabilities = capabilities
        configuration = Configuration(file: reader.file)
    }

    func names(_ object: String, from owner: String) {
        edges[owner, default: []].append(object)
    }

    /// Every object that the roots lead to, the roots included.
    func reached(from roots: [String]) -> Set<String> {
        var reached = Set(roots)
        var pending = roots
        while let object = pending.popLast() {
            for next in edges[object] ?? [] where reached.insert(next).inserted { pending.append(next) }
        }
        return reached
    }

    /// The object that a value names; a name that nobody has is a problem, one whose object is broken has one already.
    func resolve<Object>(_ value: Value, in table: Table<Object>, from owner: String) -> Object? {
        guard let name = value.scalar, let entry = table[name] else {
            let known = table.entries.prefix(16).map(\.name)
            let list = known.isEmpty ? "none is defined" : known.joined(separator: ", ")
            value.refuse(
                allowed: "the name of \(table.kindWithArticle): \(list)",
                suggestion: value.scalar.flatMap { nearMiss($0, among: table.entries.prefix(2000).map(\.name)) })
            return nil
        }
        names(entry.path, from: owner)
        return entry.object
    }
}

/// The named objects of one kind, in the order of the file.
struct Table<Object> {
    struct Entry {
        let name: String
        let path: String
        let position: Position
        /// nil: it is there, but broken, which was reported.
        let object: Object?
    }

    let kind: String
    var kindWithArticle: String { ("aeiou".contains(kind.first ?? "x") ? "an " : "a ") + kind }
    private(set) var entries: [Entry] = []
    private var index: [String: Int] = [:]

    init(_ kind: String) {
        self.kind = kind
    }

    subscript(name: String) -> Entry? { index[name].map { entries[$0] } }
    var objects: [Object] { entries.compactMap(\.object) }

    mutating func add(_ key: Key, _ path: String, _ object: Object?) {
        index[key.name] = entries.count
        entries.append(Entry(name: key.name, path: path, position: key.position, object: object))
    }

    /// Reads entries whose keys are names.
    mutating func read(_ value: Value?, max maximum: Int, nameLength: Int = 64, _ object: (Key, Value) -> Object?) {
        for (key, value) in value?.entries(max: maximum) ?? [] {
            guard isName(key.name, max: nameLength) else {
                value.reader.report(
                    at: key.position, value.path, found: "the name " + key.name.quoted, allowed: nameRule(max: nameLength))
                continue
            }
            add(key, value.path, object(key, value))
        }
    }

    /// Reads entries whose keys are ids: any positive integer (configuration.md).
    mutating func read(ids value: Value?, max maximum: Int, _ object: (Int, Value) -> Object?) {
        for (key, value) in value?.entries(max: maximum) ?? [] {
            guard let id = decimal(key.name), (1...Self.maximumID).contains(id), key.name.first != "0" else {
                value.reader.report(
                    at: key.position, value.path, found: "the id " + key.name.quoted, allowed: "1...\(Self.maximumID)")
                continue
            }
            add(key, value.path, object(id, value))
        }
    }

    static var maximumID: Int { Int(Int32.max) }
}

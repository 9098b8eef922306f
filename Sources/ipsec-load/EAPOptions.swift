import ArgumentParser
import RoadWarrior
import Wire

/// A login by EAP with a name and a password.
struct EAPOptions: ParsableArguments {
    /// Where a password comes from that no argument has.
    static let variable = "IPSEC_LOAD_EAP_PASSWORD"

    @Option(name: .customLong("eap-user"), help: "Prove ourselves by EAP, under this name. With several clients `%n` is the client's number.")
    var user: String?

    @Option(
        name: .customLong("eap-password"),
        help: "Its password, `%n` as with --eap-user. Others on this machine can read arguments: --eap-password-file or $\(Self.variable) hide it.")
    var password: String?

    @Option(name: .customLong("eap-password-file"), help: "A file with the password, `%n` in it as with --eap-user.")
    var passwordFile: String?

    @Option(
        name: .customLong("eap-method"), parsing: .singleValue,
        help: "An EAP method that we may use: \(EAPPeer.Kind.allCases.map(\.rawValue).joined(separator: ", ")); once for each, the most wanted first."
    )
    var methods: [EAPPeer.Kind] = []

    @Flag(
        name: .customLong("eap-only"),
        help: "Let EAP alone prove the gateway (RFC 5998), so that neither --psk nor --ca is needed; whoever poses as it can try passwords.")
    var only = false

    /// The options as the client needs them.
    struct Login {
        let user: String
        let password: Secret<String>
        let methods: [EAPPeer.Kind]
        let provesGateway: Bool

        func peer(client number: Int) -> EAPPeer {
            func numbered(_ text: String) -> [UInt8] { [UInt8](text.replacing("%n", with: String(number)).utf8) }
            return EAPPeer(identity: numbered(user), password: Secret(numbered(password.revealed())), kinds: methods)
        }
    }

    /// Nil without `--eap-user`; throws a `ValidationError`. `environment`: a variable's value.
    func login(environment: (String) -> String? = Credentials.variable) throws -> Login? {
        guard let user else {
            guard password == nil, passwordFile == nil, methods.isEmpty, !only else { throw ValidationError("--eap-user is missing") }
            return nil
        }
        guard (1...253).contains(user.utf8.count) else { throw ValidationError("--eap-user: 1 to 253 octets") }
        guard password == nil || passwordFile == nil else { throw ValidationError("--eap-password or --eap-password-file, not both") }
        guard let password = try password ?? passwordFile.map(Credentials.password) ?? environment(Self.variable) else {
            throw ValidationError("--eap-user needs --eap-password-file, $\(Self.variable) or --eap-password")
        }
        guard (1...256).contains(password.utf16.count) else { throw ValidationError("the EAP password: 1 to 256 characters") }
        let methods = methods.isEmpty ? [.mschapv2] : methods
        guard !only || methods == [.mschapv2] else { throw ValidationError("--eap-only: mschapv2 alone proves the gateway as well") }
        return Login(user: user, password: Secret(password), methods: methods, provesGateway: only)
    }
}

extension EAPPeer.Kind: ExpressibleByArgument {}

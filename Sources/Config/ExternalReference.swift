import Foundation

/// Something outside the file that `run` needs and `check` only looks at.
package struct ExternalReference: Hashable, Sendable {
    package enum Target: Hashable, Sendable {
        case file(String)
        case environment(String)
    }

    package let target: Target
    package let keyPath: String
    package let position: Position
}

extension Configuration {
    /// For `check`: warns of files that are not there or cannot be read, of variables that are not set, and of keys in them that can be guessed.
    package func examineReferences(environment: [String: String] = ProcessInfo.processInfo.environment) -> [Problem] {
        var problems: [Problem] = []
        for reference in references {
            switch reference.target {
            case .file(let path) where !FileManager.default.isReadableFile(atPath: path):
                let isThere = FileManager.default.fileExists(atPath: path)
                problems.append(
                    problem(
                        .warning, reference, found: "\(path.quoted), which \(isThere ? "cannot be read" : "is not there")",
                        allowed: "a file that can be read; run needs it"))
            case .environment(let name) where environment[name] == nil:
                problems.append(
                    problem(
                        .warning, reference, found: "the variable \(name.quoted), which is not set",
                        allowed: "a variable that is set; run needs it"))
            default: break
            }
        }
        var copy = self
        let missing = Set(problems.map(\.position))
        problems += copy.resolveSecrets(environment: environment)
            .filter { $0.severity == .warning && !missing.contains($0.position) }
        return problems
    }

    /// For `run`: reads the secrets that enabled gateways need from their files and variables. What cannot be had is an error, a key that
    /// can be guessed a warning.
    package mutating func resolveSecrets(environment: [String: String] = ProcessInfo.processInfo.environment) -> [Problem] {
        var problems: [Problem] = []
        for index in gateways.indices where gateways[index].isEnabled {
            if let found = resolve(&gateways[index].preSharedKey, isKey: true, environment) { problems.append(found) }
        }
        let inUse = gateways.filter(\.isEnabled)
        let authentication = Set(inUse.compactMap(\.authenticationPolicy))
        let accounting = Set(inUse.compactMap(\.accountingPolicy))
        var policies = Set(radius.accountingPolicies.filter { accounting.contains($0.name) }.map(\.serverPolicy))
        for index in radius.authenticationPolicies.indices
        where authentication.contains(radius.authenticationPolicies[index].name) {
            policies.insert(radius.authenticationPolicies[index].serverPolicy)
            let found = resolve(&radius.authenticationPolicies[index].password, isKey: false, environment)
            if let found { problems.append(found) }
        }
        var servers = Set(radius.serverPolicies.filter { policies.contains($0.name) }.flatMap(\.servers))
        if radius.dynamicAuthorization != nil { servers.formUnion(radius.servers.filter(\.acceptsCoA).map(\.name)) }
        for index in radius.servers.indices where servers.contains(radius.servers[index].name) {
            var secret: ConfiguredSecret? = radius.servers[index].secret
            if let found = resolve(&secret, isKey: false, environment) { problems.append(found) }
            if let secret { radius.servers[index].secret = secret }
        }
        let databases = Set(inUse.compactMap { $0.clientDatabase?.name })
        for index in clientDatabases.indices where databases.contains(clientDatabases[index].name) {
            for client in clientDatabases[index].clients.indices {
                let found = resolve(&clientDatabases[index].clients[client].preSharedKey, isKey: true, environment)
                if let found { problems.append(found) }
            }
        }
        return problems
    }

    private func resolve(
        _ secret: inout ConfiguredSecret?, isKey: Bool, _ environment: [String: String]
    ) -> Problem? {
        guard var resolved = secret else { return nil }
        let reference = ExternalReference(
            target: .file(""), keyPath: resolved.keyPath, position: resolved.position)
        do {
            try resolved.resolve(environment: environment)
        } catch {
            let what: (found: String, allowed: String)
            switch error {
            case .unreadable(let reason): what = ("a file that cannot be read: \(reason)", "a file that this user can read")
            case .notSet: what = ("a variable that is not set", "a variable that is set")
            case .empty: what = ("an empty secret", "a text")
            case .tooLong: what = ("a secret that is too long", "at most \(ConfiguredSecret.maximumLength) octets")
            }
            return problem(.error, reference, found: what.found, allowed: what.allowed)
        }
        secret = resolved
        guard isKey, resolved.source != .text, resolved.isGuessable else { return nil }
        return problem(
            .warning, reference, found: "a text of less than 128 bits of entropy, estimated",
            allowed: ConfiguredSecret.advice)
    }

    /// Something wrong with what a file holds that a key names.
    package func problem(_ severity: Problem.Severity, file path: String, found: String, allowed: String) -> Problem {
        let reference = references.first { $0.target == .file(path) }
        return Problem(
            file: file, position: reference?.position ?? .start, severity: severity, keyPath: reference?.keyPath ?? path, found: found,
            allowed: allowed)
    }

    private func problem(
        _ severity: Problem.Severity, _ reference: ExternalReference, found: String, allowed: String
    ) -> Problem {
        Problem(
            file: file, position: reference.position, severity: severity, keyPath: reference.keyPath, found: found,
            allowed: allowed)
    }
}

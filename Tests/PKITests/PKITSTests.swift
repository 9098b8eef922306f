import Foundation
import GatewayTesting
import Testing

@testable import PKI

/// NIST's Public Key Interoperability Test Suite: 249 cases. Where we answer otherwise on purpose, the tables say why.
@Suite(.enabled(if: VectorFolder.isPresent, VectorFolder.absence)) struct PKITSTests {
    struct Case: Decodable, CustomStringConvertible, Sendable {
        let number: String
        let title: String
        let certs: [String]
        let should_validate: Bool
        let SetInitialPolicySet, SetInitialExplicitPolicy, SetInitialPolicyMappingInhibit, SetInitialInhibitAnyPolicy: String?

        var description: String { "\(number) \(title)" }

        /// Path validation starts with any-policy here; there is nothing to configure, so these subparts have no counterpart.
        var setsPolicies: Bool {
            SetInitialPolicySet != nil || SetInitialExplicitPolicy != nil || SetInitialPolicyMappingInhibit != nil
                || SetInitialInhibitAnyPolicy != nil
        }
    }

    /// Invalid for their CRLs only: revocation comes with the PKI issue.
    static let revocation: Set<String> = [
        "4.4.1", "4.4.2", "4.4.3", "4.4.4", "4.4.5", "4.4.6", "4.4.8", "4.4.9", "4.4.10", "4.4.11", "4.4.12", "4.4.15", "4.4.18", "4.4.20",
        "4.4.21", "4.5.2", "4.5.5", "4.5.7", "4.7.4", "4.7.5", "4.14.2", "4.14.3", "4.14.6", "4.14.8", "4.14.9", "4.14.11", "4.14.12", "4.14.14",
        "4.14.15", "4.14.16", "4.14.17", "4.14.20", "4.14.21", "4.14.23", "4.14.26", "4.14.27", "4.14.31", "4.14.32", "4.14.34", "4.14.35",
        "4.15.1", "4.15.3", "4.15.4", "4.15.6", "4.15.9", "4.15.10",
    ]

    /// Valid with a DSA key that inherits its parameters, which OpenSSL 3 does not read; DSA is refused anyway (threats.md C7).
    static let inheritedDSA: Set<String> = ["4.1.5"]

    static let all: [Case] = {
        guard VectorFolder.isPresent, let octets = try? VectorFolder.octets("pkits/cases.json") else { return [] }
        return (try? JSONDecoder().decode([Case].self, from: Data(octets))) ?? []
    }()

    static let cases = all.filter { !$0.setsPolicies }

    /// The suite's certificates are valid from 2001 to 2011.
    static let time = CertificateTime(year: 2008, month: 6, day: 1)

    @Test func threat_C8_everyCaseIsThere() {
        print("PKITS: \(Self.all.count) cases, \(Self.all.count - Self.cases.count) of them with initial policy inputs, which a gateway has not")
        #expect(Self.all.count == 249)
        #expect(Self.cases.count == 214)
        let numbers = Set(Self.cases.map(\.number))
        #expect(Self.revocation.union(Self.inheritedDSA).isSubset(of: numbers))
    }

    @Test(arguments: cases) func threat_C8_pkits(_ example: Case) throws {
        let time = try #require(Self.time)
        let certificates = try example.certs.map { try VectorFolder.octets("pkits/certs/\($0).crt") }
        let root = try Certificate(der: try #require(certificates.first))
        let refusal = TrustAnchors(historic: root).refusal(certificates.dropFirst().reversed(), at: time)
        if Self.revocation.contains(example.number) {
            #expect(!example.should_validate && refusal == nil, "\(example) is listed as a matter of revocation")
        } else if Self.inheritedDSA.contains(example.number) {
            #expect(example.should_validate && refusal != nil, "\(example) is listed as inherited DSA")
        } else {
            #expect((refusal == nil) == example.should_validate, "\(example): \(refusal?.description ?? "accepted")")
        }
    }

    /// What is really taken: nothing with SHA-1 or RSA-1024.
    @Test func threat_C7_pkitsIsTooWeakForUse() throws {
        let time = try #require(Self.time)
        let root = try Certificate(der: try VectorFolder.octets("pkits/certs/TrustAnchorRootCertificate.crt"))
        #expect(throws: CertificateAuthority.Problem.weakKey) {
            try CertificateAuthority(name: "root", certificate: root, revocationCheck: .none, at: time)
        }
    }
}

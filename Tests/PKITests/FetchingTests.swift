import GatewayTesting
import Glibc
import PKI
import Testing
import Wire

/// A certificate names places to ask about it; nobody goes there before it is trusted, and here nobody goes there at all (threats.md C9).
struct FetchingTests {
    /// A listening TCP socket of loopback.
    private struct Listener: ~Copyable {
        let descriptor: Int32
        let port: UInt16

        init() throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let descriptor = descriptor
            let isBound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, .init(__sockaddr__: $0), length) == 0 && listen(descriptor, 8) == 0
                        && getsockname(descriptor, .init(__sockaddr__: $0), &length) == 0
                }
            }
            port = UInt16(bigEndian: address.sin_port)
            guard isBound else { throw POSIXFailure(code: errno) }
        }

        struct POSIXFailure: Error { let code: Int32 }

        /// Whether somebody has come.
        func visited() -> Bool {
            let visitor = accept(descriptor, .init(__sockaddr__: nil), nil)
            if visitor >= 0 { close(visitor) }
            return visitor >= 0
        }

        deinit { close(descriptor) }
    }

    @Test func threat_C9_nothingIsFetched() throws {
        let listener = try Listener()
        let place = DERWriting.element(0x86, Array("http://127.0.0.1:\(listener.port)/".utf8))
        // RFC 5280 sections 4.2.1.13 and 4.2.2.1: CRL, OCSP responder, issuer's certificate.
        let points = DERWriting.sequence(DERWriting.sequence(DERWriting.explicit(0, DERWriting.explicit(0, place))))
        let access = DERWriting.sequence(
            DERWriting.sequence(ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 48, 1).der, place),
            DERWriting.sequence(ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 48, 2).der, place))
        let extensions: [CertificateTemplate.Extension] = [
            .init(ObjectIdentifier(2, 5, 29, 31), points), .init(ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 1, 1), access),
        ]
        let (root, stranger) = (try TestCA(), try TestCA("Elsewhere"))
        let anchors = try root.anchors()
        let trusted = try root.endEntity("alice") { $0.extensions = extensions }
        #expect(anchors.refusal(trusted.payloads) == nil)
        let untrusted = try stranger.endEntity("mallory") { $0.extensions = extensions }
        #expect(anchors.refusal(untrusted.payloads)?.cause == .unknownAuthority)
        // The issuer is missing and the certificate says where it could be had.
        let below = try root.intermediate("Staff").endEntity("bob") { $0.extensions = extensions }
        #expect(anchors.refusal([below.certificate.der])?.cause == .unknownAuthority)
        let isVisited = listener.visited()
        #expect(!isVisited)
    }
}

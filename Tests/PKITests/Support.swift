import Foundation
import GatewayTesting
import PKI
import Testing
import Wire

/// The public vectors beside the package; a user's machine does not have them.
enum VectorFolder {
    static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/vectors").path

    static var isPresent: Bool { FileManager.default.fileExists(atPath: path) }
    static let absence: Comment = "needs the folder shared/vectors beside the package; the package's own tests ran"

    static func octets(_ name: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(filePath: path + "/" + name))) }
}

extension TrustAnchors {
    /// Why a chain is refused; nil when it is not.
    func refusal(_ payloads: [[UInt8]], purpose: Purpose = .client, at time: CertificateTime = TestCA.now) -> PathFailure? {
        do throws(PathFailure) {
            _ = try validate(payloads, purpose: purpose, at: time)
            return nil
        } catch {
            return error
        }
    }
}

/// The error of reading octets as a certificate.
func readingError(_ octets: [UInt8]) -> CertificateError? {
    do throws(CertificateError) {
        _ = try Certificate(der: octets)
        return nil
    } catch {
        return error
    }
}

/// CPU time of this thread for `body`, in milliseconds.
func milliseconds<Result>(_ body: () throws -> Result) rethrows -> (Result, Double) {
    func spent() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1e6
    }
    let start = spent()
    let result = try body()
    return (result, spent() - start)
}

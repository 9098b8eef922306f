// swift-tools-version: 6.2
// This file is the architecture: a target depends only on targets above it. contrib/checks/floors keeps it so.

import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // recvmmsg, sendmmsg and struct ucred; for all modules alike, or fd_set differs between them
    .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
]

// A test may use unsafe C freely and stays readable; everything else holds there too.
let tests: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
]

let package = Package(
    name: "ipsec-gw",
    targets: [
        // Floor 0: C at the edge
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),

        // Floor 1: ground
        .target(name: "Wire", swiftSettings: strict),
        .target(name: "GatewayCrypto", dependencies: ["COpenSSL", "Wire"], swiftSettings: strict),

        // Floor 2: protocols, pure
        .target(name: "AddressAssignment", dependencies: ["Wire"], swiftSettings: strict),
        .target(name: "PKI", dependencies: ["COpenSSL", "GatewayCrypto", "Wire"], swiftSettings: strict),

        // What tests are made from
        .target(
            name: "GatewayTesting", dependencies: ["AddressAssignment", "GatewayCrypto", "PKI", "Wire"], path: "Tests/GatewayTesting",
            swiftSettings: tests),

        // Tests
        .testTarget(name: "PKITests", dependencies: ["GatewayCrypto", "GatewayTesting", "PKI", "Wire"], swiftSettings: tests),
    ]
)

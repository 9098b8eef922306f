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
    dependencies: [
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        // Floor 1: ground
        .target(name: "Wire", swiftSettings: strict),

        // Floor 2: protocols
        .target(name: "IKE", dependencies: ["Wire"], swiftSettings: strict),
        .target(name: "ESP", dependencies: ["Wire"], swiftSettings: strict),
        .target(name: "AddressAssignment", dependencies: ["Wire"], swiftSettings: strict),

        // Floor 3: engines
        .target(
            name: "StateStore",
            dependencies: ["AddressAssignment", "Wire", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: strict),
        .target(
            name: "Config",
            dependencies: ["AddressAssignment", "ESP", "IKE", "Wire", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict),

        // Tests
        .target(name: "GatewayTesting", dependencies: ["AddressAssignment", "Wire"], path: "Tests/GatewayTesting", swiftSettings: tests),
        .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: tests),
        .testTarget(
            name: "AddressAssignmentTests", dependencies: ["AddressAssignment", "GatewayTesting", "Wire"],
            swiftSettings: tests),
        .testTarget(
            name: "StateStoreTests", dependencies: ["AddressAssignment", "StateStore", "Wire"], swiftSettings: tests),
        .testTarget(
            name: "ConfigTests", dependencies: ["AddressAssignment", "Config", "ESP", "GatewayTesting", "IKE", "Wire"],
            exclude: ["example.yaml"], swiftSettings: tests),
    ]
)

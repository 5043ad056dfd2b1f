// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SealedMeters} from "./SealedMeters.sol";

/// @title Base of the contracts in which the auditors of the sealed meters have a say
abstract contract AuditorsOnly {
    /// @notice Where the auditors stand.
    SealedMeters public immutable sealedMeters;

    /// @notice Only an auditor may do this, with its own account.
    error NotAnAuditor(address sender);

    constructor(SealedMeters sealedMeters_) {
        sealedMeters = sealedMeters_;
    }

    /// @dev An auditor of any window: those of earlier ones still have the shares of what was theirs.
    modifier onlyAuditor() {
        if (!sealedMeters.isAuditor(msg.sender)) revert NotAnAuditor(msg.sender);
        _;
    }
}

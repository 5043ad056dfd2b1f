// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Attested energy as an ERC-20 token, in watt-hours
/// @notice Tokens exist only while the market settles: attested export is minted to the seller, moved to the buyer and
/// burnt against attested import in one transaction. A promise to deliver is not a token, and energy from the grid
/// never is one.
/// @dev Sources: Mezquita et al., "Multi-Agent Architecture for Peer-to-Peer Electricity Trading", section II-A
/// (guaranteed, auditable tokens); "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.1 (ERC-20).
contract EnergyToken is ERC20 {
    /// @notice The only contract that mints, moves and burns.
    address public immutable market;

    /// @notice Tokens are minted, moved and burnt by the market at settlement, by nobody else.
    error OnlyMarket(address sender, address market);

    constructor(address market_) ERC20("gridpact watt-hour", "gWh") {
        market = market_;
    }

    /// @notice One token unit is one watt-hour.
    function decimals() public pure override returns (uint8) {
        return 0;
    }

    /// @notice Mints `energyWh` to the seller, moves it to the buyer and burns it there.
    function deliver(address seller, address buyer, uint256 energyWh) external {
        if (msg.sender != market) revert OnlyMarket(msg.sender, market);
        _mint(seller, energyWh);
        _transfer(seller, buyer, energyWh);
        _burn(buyer, energyWh);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (msg.sender != market) revert OnlyMarket(msg.sender, market);
        super._update(from, to, value);
    }
}

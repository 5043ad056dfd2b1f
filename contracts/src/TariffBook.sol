// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice The parts of a tariff, in micro-euro per kWh, valid from a window on.
struct Tariff {
    uint64 validFromWindow;
    uint32 energyMicroeurPerKwh;
    uint32 gridMicroeurPerKwh;
    uint32 leviesMicroeurPerKwh;
    uint32 localChargesMicroeurPerKwh;
    uint32 feedInMicroeurPerKwh;
}

/// @title Tariffs by window and the rails between which the street trades
/// @notice Retail = energy + grid + levies. A trade's price lies in [feed-in, retail - local charges] of the delivery
/// window; if that interval is empty there is no trade.
/// @dev Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.1, step 4 (the
/// upper constraint is the price from outside the grid). The seller's production cost is its own private reserve. All
/// prices are multiples of PRICE_TICK, so that price * Wh / 1000 is a whole number of micro-euro: nothing is ever
/// rounded.
abstract contract TariffBook {
    /// @notice Prices are multiples of this, in micro-euro per kWh.
    uint32 public constant PRICE_TICK = 1000;
    /// @notice The most tariffs: bounds the search.
    uint256 public constant MAX_TARIFFS = 32;

    Tariff[] private _tariffs;

    /// @notice A tariff holds from a window on.
    event TariffSet(
        uint64 indexed validFromWindow,
        uint32 energyMicroeurPerKwh,
        uint32 gridMicroeurPerKwh,
        uint32 leviesMicroeurPerKwh,
        uint32 localChargesMicroeurPerKwh,
        uint32 feedInMicroeurPerKwh
    );

    /// @notice The genesis file's tariffs do not add up.
    error InvalidTariff(string reason, uint256 index);
    /// @notice The tariff leaves no price at which a trade pays both sides.
    error NoTradePays(uint64 window, uint32 lowestMicroeurPerKwh, uint32 highestMicroeurPerKwh);
    /// @notice The price is not between the rails of the delivery window.
    error PriceOutsideRails(
        uint64 window, uint32 priceMicroeurPerKwh, uint32 lowestMicroeurPerKwh, uint32 highestMicroeurPerKwh
    );
    /// @notice The price is not a multiple of the tick.
    error PriceOffTick(uint32 priceMicroeurPerKwh, uint32 tickMicroeurPerKwh);

    constructor(Tariff[] memory tariffs_) {
        if (tariffs_.length == 0 || tariffs_.length > MAX_TARIFFS) revert InvalidTariff("1 to 32", tariffs_.length);
        for (uint256 i = 0; i < tariffs_.length; ++i) {
            Tariff memory tariff = tariffs_[i];
            if (i == 0 && tariff.validFromWindow != 0) revert InvalidTariff("the first begins at window 0", i);
            if (i > 0 && tariff.validFromWindow <= tariffs_[i - 1].validFromWindow) {
                revert InvalidTariff("windows rise", i);
            }
            if (
                tariff.energyMicroeurPerKwh % PRICE_TICK != 0 || tariff.gridMicroeurPerKwh % PRICE_TICK != 0
                    || tariff.leviesMicroeurPerKwh % PRICE_TICK != 0
                    || tariff.localChargesMicroeurPerKwh % PRICE_TICK != 0
                    || tariff.feedInMicroeurPerKwh % PRICE_TICK != 0
            ) revert InvalidTariff("every part is a multiple of the tick", i);
            _tariffs.push(tariff);
            emit TariffSet(
                tariff.validFromWindow,
                tariff.energyMicroeurPerKwh,
                tariff.gridMicroeurPerKwh,
                tariff.leviesMicroeurPerKwh,
                tariff.localChargesMicroeurPerKwh,
                tariff.feedInMicroeurPerKwh
            );
        }
    }

    /// @notice The tariff of a window.
    function tariffAt(uint64 window) public view returns (Tariff memory) {
        uint256 i = _tariffs.length - 1;
        while (_tariffs[i].validFromWindow > window) --i;
        return _tariffs[i];
    }

    /// @notice The lowest and the highest price of a trade for `window`; no trade if the lowest is above the highest.
    function rails(uint64 window) public view returns (uint32 lowestMicroeurPerKwh, uint32 highestMicroeurPerKwh) {
        Tariff memory tariff = tariffAt(window);
        uint32 retail = _retail(tariff);
        lowestMicroeurPerKwh = tariff.feedInMicroeurPerKwh;
        uint32 local = tariff.localChargesMicroeurPerKwh;
        highestMicroeurPerKwh = retail > local ? retail - local : 0;
    }

    /// @dev price * energy, exact because prices are multiples of 1000 micro-euro per kWh.
    function _cost(uint32 priceMicroeurPerKwh, uint256 energyWh) internal pure returns (uint256 amountMicroeur) {
        return uint256(priceMicroeurPerKwh / PRICE_TICK) * energyWh;
    }

    function _retail(Tariff memory tariff) internal pure returns (uint32) {
        return tariff.energyMicroeurPerKwh + tariff.gridMicroeurPerKwh + tariff.leviesMicroeurPerKwh;
    }

    function _checkPrice(uint64 window, uint32 price) internal view {
        (uint32 lowest, uint32 highest) = rails(window);
        if (lowest > highest) revert NoTradePays(window, lowest, highest);
        if (price % PRICE_TICK != 0) revert PriceOffTick(price, PRICE_TICK);
        if (price < lowest || price > highest) revert PriceOutsideRails(window, price, lowest, highest);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {CashBook, CashKind} from "./CashBook.sol";
import {EnergyToken} from "./EnergyToken.sol";
import {MeterRegistry} from "./MeterRegistry.sol";
import {Tariff, TariffBook} from "./TariffBook.sol";
import {Schedule, WindowClock} from "./WindowClock.sol";

/// @title The street's market for the energy of the next window
/// @notice Offers and contracts for window w are made in window w - 1, delivered in w, and settled from w + 1 on
/// against what the meters attested. Amounts are watt-hours and micro-euro; prices are micro-euro per kWh.
/// @dev Sources: Mezquita et al., "Multi-Agent Architecture for Peer-to-Peer Electricity Trading based on Blockchain
/// Technology", section II-A (the functions' names and meanings), and "Towards a Blockchain-Based Peer-to-Peer Energy
/// Marketplace", section 4.1 (their order in a window) and 4.4 (penalties maintain the operator).
contract Market is WindowClock, TariffBook, CashBook, EIP712, Multicall {
    /// @notice The genesis parameters beside schedule and tariffs, in micro-euro per kWh and watt-hours.
    struct Parameters {
        uint32 penaltyMicroeurPerKwh;
        uint32 operatorMarginMicroeurPerKwh;
        uint32 minimumLotWh;
    }

    /// @notice What an agent says of itself.
    struct Info {
        address household;
        uint64 publishedAtS;
        string endpoint;
        string ontology;
    }

    /// @notice A promise to deliver in `window`. `depositMicroeur` is what is held for it now, `pledgedMicroeur` how
    /// much of that its allocations need that no buyer has allowed yet.
    struct Offer {
        address seller;
        uint64 window;
        uint32 energyWh;
        uint32 allocatedWh;
        uint32 priceMicroeurPerKwh;
        uint32 buyNowMicroeurPerKwh;
        uint128 depositMicroeur;
        uint128 pledgedMicroeur;
    }

    /// @notice An offer with its number, as getOffers returns it.
    struct OfferView {
        uint256 offerId;
        Offer offer;
    }

    enum TradeState {
        None,
        Allocated,
        Allowed,
        Settled
    }

    /// @notice A contract of `energyWh` at a price. `sellerBeforeWh` and `buyerBeforeWh` are what the same seller and
    /// buyer had contracted for the same window when this contract was recorded: contracts fill in that order.
    struct Trade {
        address seller;
        uint32 energyWh;
        uint32 priceMicroeurPerKwh;
        TradeState state;
        address buyer;
        uint64 window;
        uint32 deliveredWh;
        uint48 sellerBeforeWh;
        uint48 buyerBeforeWh;
        uint64 offerId;
    }

    /// @notice A trade with its number, as getTrades returns it.
    struct TradeView {
        bytes32 tradeId;
        Trade trade;
    }

    /// @notice A household in a window: contracted, and the readings that its settlement uses once the first part is
    /// settled.
    struct Position {
        uint48 soldWh;
        uint48 boughtWh;
        uint48 exportWh;
        uint48 importWh;
        bool readingsTaken;
        bool settled;
    }

    /// @notice The most rows of one answer of getOffers and getTrades.
    uint256 public constant MAX_PAGE = 50;
    /// @notice The most offers of a household for one window: settleWindow releases all their deposits.
    uint256 public constant MAX_OFFERS_PER_SELLER = 8;
    /// @notice The longest text of publishInfo.
    uint256 public constant MAX_INFO_BYTES = 256;
    /// @notice What a buyer signs (EIP-712).
    bytes32 public constant ACCEPTANCE_TYPEHASH = keccak256(
        "Acceptance(uint64 window,address seller,address buyer,uint32 energyWh,uint32 priceMicroeurPerKwh,"
        "bytes32 negotiationId)"
    );

    MeterRegistry public immutable meters;
    EnergyToken public immutable energy;
    uint32 private immutable _penalty;
    uint32 private immutable _operatorMargin;
    uint32 private immutable _minimumLotWh;

    mapping(address agent => Info) private _infos;
    uint64 private _offerCount;
    mapping(uint256 offerId => Offer) private _offers;
    mapping(uint64 window => uint256[] offerIds) private _offersIn;
    mapping(uint64 window => mapping(address seller => uint256[] offerIds)) private _offersOf;
    mapping(bytes32 tradeId => Trade) private _trades;
    mapping(uint64 window => bytes32[] tradeIds) private _tradesIn;
    mapping(uint64 window => mapping(address household => Position)) private _positions;

    /// @notice An agent published how to reach it.
    event InfoPublished(address indexed agent, address indexed household, string endpoint, string ontology);
    /// @notice A seller offers energy of a window.
    event OfferMade(
        uint256 indexed offerId,
        uint64 indexed window,
        address indexed seller,
        uint32 energyWh,
        uint32 priceMicroeurPerKwh,
        uint32 buyNowMicroeurPerKwh,
        uint128 depositMicroeur
    );
    /// @notice A seller withdrew what was left of its offer.
    event OfferWithdrawn(
        uint256 indexed offerId, uint64 indexed window, address indexed seller, uint256 returnedMicroeur
    );
    /// @notice A seller allocated energy to a buyer that had accepted.
    event EnergyAllocated(
        bytes32 indexed tradeId,
        uint64 indexed window,
        address indexed buyer,
        address seller,
        uint256 offerId,
        uint32 energyWh,
        uint32 priceMicroeurPerKwh,
        bytes32 negotiationId
    );
    /// @notice The buyer escrowed the price: the contract is recorded.
    event TransactionAllowed(
        bytes32 indexed tradeId, uint64 indexed window, address indexed buyer, address seller, uint256 escrowMicroeur
    );
    /// @notice A contract was settled; `deliveredWh` were minted, moved and burnt.
    event TransactionMade(
        bytes32 indexed tradeId,
        uint64 indexed window,
        address indexed buyer,
        address seller,
        uint32 sellerFilledWh,
        uint32 buyerFilledWh,
        uint32 deliveredWh
    );
    /// @notice The readings with which a household's window is settled; if incomplete, missing quarters count as zero.
    event ReadingsTaken(
        uint64 indexed window, address indexed household, uint48 importWh, uint48 exportWh, bool complete
    );
    /// @notice Surplus and grid purchase of a household and window were settled.
    event WindowSettled(uint64 indexed window, address indexed household, uint256 surplusWh, uint256 purchaseWh);

    /// @notice The genesis parameters do not add up.
    error InvalidParameters(string reason);
    /// @notice The text is longer than the limit.
    error InfoTooLong(uint256 lengthBytes, uint256 limitBytes);
    /// @notice No certified meter is bound to this account, so that it cannot trade or be settled.
    error NoMeter(address household);
    /// @notice Offers and contracts are only for the window after the current one.
    error NotTheNextWindow(uint64 window, uint64 nextWindow);
    /// @notice Offers are made before the close of negotiation.
    error NegotiationClosed(uint64 window, uint32 elapsedS, uint32 closeS);
    /// @notice Agreements are recorded only in the recording margin of the trading window.
    error OutsideRecordingMargin(uint64 window, uint32 elapsedS, uint32 fromS, uint32 untilS);
    /// @notice The energy is less than the smallest lot.
    error LotTooSmall(uint32 energyWh, uint32 minimumWh);
    /// @notice A buy-now price is not below the offer's price.
    error BuyNowBelowPrice(uint32 buyNowMicroeurPerKwh, uint32 priceMicroeurPerKwh);
    /// @notice The deposit does not cover (retail - price) * energy + penalty.
    error DepositTooSmall(address seller, uint128 givenMicroeur, uint256 requiredMicroeur);
    /// @notice The household has as many offers for this window as it may.
    error TooManyOffers(address seller, uint64 window, uint256 limit);
    /// @notice There is no such offer.
    error UnknownOffer(uint256 offerId);
    /// @notice Only the seller may do this with its offer.
    error NotTheSeller(uint256 offerId, address seller, address sender);
    /// @notice The offer has less energy left.
    error OfferExhausted(uint256 offerId, uint32 wantedWh, uint32 leftWh);
    /// @notice Nobody sells to itself.
    error SellerIsBuyer(address household);
    /// @notice The acceptance is not signed by the buyer over these very terms.
    error AcceptanceNotByBuyer(address buyer, address signer);
    /// @notice This acceptance has been used.
    error AlreadyAllocated(bytes32 tradeId);
    /// @notice There is no such trade.
    error UnknownTrade(bytes32 tradeId);
    /// @notice Only the buyer allows the transaction.
    error NotTheBuyer(bytes32 tradeId, address buyer, address sender);
    /// @notice The buyer has allowed this trade already.
    error AlreadyAllowed(bytes32 tradeId);
    /// @notice The buyer never allowed this trade, so that there is nothing to settle.
    error NeverAllowed(bytes32 tradeId);
    /// @notice The trade has been settled.
    error AlreadySettled(bytes32 tradeId);
    /// @notice The household's window has been settled.
    error WindowAlreadySettled(uint64 window, address household);
    /// @notice Readings are missing and the deadline has not passed.
    error ReadingsIncomplete(
        uint64 window, address household, uint16 quarters, uint32 quartersNeeded, uint64 settleableFromWindow
    );

    constructor(
        Schedule memory schedule_,
        Tariff[] memory tariffs_,
        Parameters memory parameters_,
        address meters_,
        address energy_,
        address fiat_,
        address operator_
    ) WindowClock(schedule_) TariffBook(tariffs_) CashBook(fiat_, operator_) EIP712("gridpact market", "1") {
        if (meters_ == address(0)) revert ZeroAddress("meters");
        if (energy_ == address(0)) revert ZeroAddress("energy");
        if (parameters_.minimumLotWh == 0) revert InvalidParameters("the smallest lot is positive");
        if (
            parameters_.penaltyMicroeurPerKwh % PRICE_TICK != 0
                || parameters_.operatorMarginMicroeurPerKwh % PRICE_TICK != 0
        ) revert InvalidParameters("penalty and margin are multiples of the tick");
        for (uint256 i = 0; i < tariffs_.length; ++i) {
            if (parameters_.operatorMarginMicroeurPerKwh > _retail(tariffs_[i])) {
                revert InvalidParameters("the operator's margin is part of every retail price");
            }
        }
        meters = MeterRegistry(meters_);
        energy = EnergyToken(energy_);
        _penalty = parameters_.penaltyMicroeurPerKwh;
        _operatorMargin = parameters_.operatorMarginMicroeurPerKwh;
        _minimumLotWh = parameters_.minimumLotWh;
    }

    /// @notice Stores or renews what the calling agent says of itself: its household, how to start a negotiation with
    /// it, and what it speaks. PublishInfo of both papers, step 1.
    function publishInfo(address household, string calldata endpoint, string calldata ontology) external {
        (uint256 first, uint256 second) = (bytes(endpoint).length, bytes(ontology).length);
        uint256 longest = first > second ? first : second;
        if (longest > MAX_INFO_BYTES) revert InfoTooLong(longest, MAX_INFO_BYTES);
        _infos[msg.sender] =
            Info({household: household, publishedAtS: uint64(block.timestamp), endpoint: endpoint, ontology: ontology});
        emit InfoPublished(msg.sender, household, endpoint, ontology);
    }

    /// @notice Offers `energyWh` of `window`, the next one, before the close of negotiation. MakeOffer of both papers,
    /// step 2.
    /// @param priceMicroeurPerKwh the asking price.
    /// @param buyNowMicroeurPerKwh the price at which the seller accepts without negotiation ("cost of automatic
    /// adjudication"); 0 for none.
    /// @param depositMicroeur at least depositRequired(...), taken from the seller's balance and wallet.
    function makeOffer(
        uint64 window,
        uint32 energyWh,
        uint32 priceMicroeurPerKwh,
        uint32 buyNowMicroeurPerKwh,
        uint128 depositMicroeur
    ) external returns (uint256 offerId) {
        _checkMeter(msg.sender);
        uint32 elapsedS = _checkNextWindow(window);
        if (elapsedS >= _negotiationCloseS) revert NegotiationClosed(window, elapsedS, _negotiationCloseS);
        if (energyWh < _minimumLotWh) revert LotTooSmall(energyWh, _minimumLotWh);
        _checkPrice(window, priceMicroeurPerKwh);
        if (buyNowMicroeurPerKwh != 0) {
            _checkPrice(window, buyNowMicroeurPerKwh);
            if (buyNowMicroeurPerKwh < priceMicroeurPerKwh) {
                revert BuyNowBelowPrice(buyNowMicroeurPerKwh, priceMicroeurPerKwh);
            }
        }
        uint256 required = depositRequired(window, energyWh, priceMicroeurPerKwh);
        if (depositMicroeur < required) revert DepositTooSmall(msg.sender, depositMicroeur, required);
        uint256[] storage own = _offersOf[window][msg.sender];
        if (own.length >= MAX_OFFERS_PER_SELLER) revert TooManyOffers(msg.sender, window, MAX_OFFERS_PER_SELLER);

        offerId = ++_offerCount;
        _offers[offerId] = Offer({
            seller: msg.sender,
            window: window,
            energyWh: energyWh,
            allocatedWh: 0,
            priceMicroeurPerKwh: priceMicroeurPerKwh,
            buyNowMicroeurPerKwh: buyNowMicroeurPerKwh,
            depositMicroeur: depositMicroeur,
            pledgedMicroeur: 0
        });
        own.push(offerId);
        _offersIn[window].push(offerId);
        emit OfferMade(
            offerId, window, msg.sender, energyWh, priceMicroeurPerKwh, buyNowMicroeurPerKwh, depositMicroeur
        );
        _lock(msg.sender, depositMicroeur);
    }

    /// @notice Takes what is not allocated of an offer back, with its part of the deposit.
    function withdrawOffer(uint256 offerId) external {
        Offer storage offer = _offers[offerId];
        if (offer.seller == address(0)) revert UnknownOffer(offerId);
        if (offer.seller != msg.sender) revert NotTheSeller(offerId, offer.seller, msg.sender);
        uint128 returned = offer.depositMicroeur - offer.pledgedMicroeur;
        offer.energyWh = offer.allocatedWh;
        offer.depositMicroeur = offer.pledgedMicroeur;
        emit OfferWithdrawn(offerId, offer.window, msg.sender, returned);
        _unlock(msg.sender, returned);
    }

    /// @notice The seller allocates energy of its offer to a buyer, in the recording margin. AllocateEnergy of the
    /// first paper.
    /// @dev The second paper lets the seller publish the agreement, the first lets the consumer approve it; here both
    /// do, and the escrow follows the money (allowTransaction). A price below the offer's raises the deposit as far as
    /// needed.
    /// @param signature the buyer's over acceptanceDigest(...), 65 bytes r, s, v.
    /// @return tradeId the acceptance's digest, which the buyer knows beforehand.
    function allocateEnergy(
        uint256 offerId,
        address buyer,
        uint32 energyWh,
        uint32 priceMicroeurPerKwh,
        bytes32 negotiationId,
        bytes calldata signature
    ) external returns (bytes32 tradeId) {
        Offer storage offer = _offers[offerId];
        if (offer.seller == address(0)) revert UnknownOffer(offerId);
        if (offer.seller != msg.sender) revert NotTheSeller(offerId, offer.seller, msg.sender);
        if (buyer == msg.sender) revert SellerIsBuyer(buyer);
        _checkMeter(buyer);
        uint64 window = offer.window;
        _checkRecording(window);
        if (energyWh < _minimumLotWh) revert LotTooSmall(energyWh, _minimumLotWh);
        uint32 leftWh = offer.energyWh - offer.allocatedWh;
        if (energyWh > leftWh) revert OfferExhausted(offerId, energyWh, leftWh);
        _checkPrice(window, priceMicroeurPerKwh);
        tradeId = acceptanceDigest(window, msg.sender, buyer, energyWh, priceMicroeurPerKwh, negotiationId);
        if (_trades[tradeId].state != TradeState.None) revert AlreadyAllocated(tradeId);
        (address signer,,) = ECDSA.tryRecover(tradeId, signature);
        if (signer != buyer) revert AcceptanceNotByBuyer(buyer, signer);

        _recordTrade(tradeId, offerId, buyer, energyWh, priceMicroeurPerKwh);
        emit EnergyAllocated(
            tradeId, window, buyer, msg.sender, offerId, energyWh, priceMicroeurPerKwh, negotiationId
        );
        _pledge(offer, energyWh, priceMicroeurPerKwh);
    }

    /// @notice The buyer escrows energy * price, in the recording margin: from now on the contract binds both.
    /// AllowTransaction of the first paper.
    function allowTransaction(bytes32 tradeId) external {
        Trade storage trade = _trades[tradeId];
        if (trade.state == TradeState.None) revert UnknownTrade(tradeId);
        if (trade.buyer != msg.sender) revert NotTheBuyer(tradeId, trade.buyer, msg.sender);
        if (trade.state != TradeState.Allocated) revert AlreadyAllowed(tradeId);
        uint64 window = trade.window;
        _checkRecording(window);

        trade.state = TradeState.Allowed;
        Offer storage offer = _offers[trade.offerId];
        uint128 collateral = uint128(depositRequired(window, trade.energyWh, trade.priceMicroeurPerKwh));
        offer.depositMicroeur -= collateral;
        offer.pledgedMicroeur -= collateral;
        Position storage sold = _positions[window][trade.seller];
        Position storage bought = _positions[window][msg.sender];
        trade.sellerBeforeWh = sold.soldWh;
        trade.buyerBeforeWh = bought.boughtWh;
        sold.soldWh += trade.energyWh;
        bought.boughtWh += trade.energyWh;
        uint256 escrow = _cost(trade.priceMicroeurPerKwh, trade.energyWh);
        emit TransactionAllowed(tradeId, window, msg.sender, trade.seller, escrow);
        _lock(msg.sender, escrow);
    }

    /// @notice Settles a contract once its readings are there: tokens, price, shortage and unused energy. Anyone may
    /// call it, once. MakeTransaction of both papers, step 6.
    function makeTransaction(bytes32 tradeId) external {
        Trade storage trade = _trades[tradeId];
        if (trade.state == TradeState.None) revert UnknownTrade(tradeId);
        if (trade.state == TradeState.Allocated) revert NeverAllowed(tradeId);
        if (trade.state == TradeState.Settled) revert AlreadySettled(tradeId);
        (uint64 window, address seller, address buyer, uint32 contractedWh) =
            (trade.window, trade.seller, trade.buyer, trade.energyWh);
        uint32 sellerFilledWh = _filled(_takeReadings(window, seller).exportWh, trade.sellerBeforeWh, contractedWh);
        uint32 buyerFilledWh = _filled(_takeReadings(window, buyer).importWh, trade.buyerBeforeWh, contractedWh);
        uint32 deliveredWh = sellerFilledWh < buyerFilledWh ? sellerFilledWh : buyerFilledWh;
        trade.state = TradeState.Settled;
        trade.deliveredWh = deliveredWh;

        uint256 price = _cost(trade.priceMicroeurPerKwh, contractedWh);
        _unlock(buyer, price);
        _unlock(seller, depositRequired(window, contractedWh, trade.priceMicroeurPerKwh));
        _book(window, CashKind.Trade, buyer, seller, price);
        Tariff memory tariff = tariffAt(window);
        _bookRetail(window, CashKind.Shortage, seller, tariff, contractedWh - sellerFilledWh);
        _book(window, CashKind.Penalty, seller, operator, _cost(_penalty, contractedWh - sellerFilledWh));
        _book(window, CashKind.Unused, GRID, buyer, _cost(tariff.feedInMicroeurPerKwh, contractedWh - buyerFilledWh));
        _book(window, CashKind.LocalCharges, buyer, GRID, _cost(tariff.localChargesMicroeurPerKwh, deliveredWh));
        emit TransactionMade(tradeId, window, buyer, seller, sellerFilledWh, buyerFilledWh, deliveredWh);
        _collect(window, seller);
        _collect(window, buyer);
        if (deliveredWh > 0) energy.deliver(seller, buyer, deliveredWh);
    }

    /// @notice Settles what a household's contracts leave of a window: export above its sales at feed-in, import above
    /// its purchases at retail; and gives back what its offers still hold. Anyone may call it, once a household and
    /// window, also for a household without contracts, so that its bill is complete.
    function settleWindow(uint64 window, address household) external {
        _checkMeter(household);
        Position storage position = _takeReadings(window, household);
        if (position.settled) revert WindowAlreadySettled(window, household);
        position.settled = true;
        uint256 surplusWh = position.exportWh > position.soldWh ? position.exportWh - position.soldWh : 0;
        uint256 purchaseWh = position.importWh > position.boughtWh ? position.importWh - position.boughtWh : 0;
        Tariff memory tariff = tariffAt(window);
        _releaseOffers(window, household);
        _book(window, CashKind.Surplus, GRID, household, _cost(tariff.feedInMicroeurPerKwh, surplusWh));
        _bookRetail(window, CashKind.GridPurchase, household, tariff, purchaseWh);
        emit WindowSettled(window, household, surplusWh, purchaseWh);
        _collect(window, household);
    }

    /// @notice What an agent published of itself; `publishedAtS` is 0 if nothing. GetInfo of the first paper.
    function getInfo(address agent) external view returns (Info memory) {
        return _infos[agent];
    }

    /// @notice The offers for `window` from `offset` on, at most `limit` and at most MAX_PAGE. GetOffers of the second
    /// paper, step 3.
    function getOffers(uint64 window, uint256 offset, uint256 limit)
        external
        view
        returns (OfferView[] memory page, uint256 total)
    {
        uint256[] storage ids = _offersIn[window];
        total = ids.length;
        uint256 count = _pageLength(total, offset, limit);
        page = new OfferView[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 offerId = ids[offset + i];
            page[i] = OfferView({offerId: offerId, offer: _offers[offerId]});
        }
    }

    /// @notice The trades for `window` in the order allocated, from `offset` on, at most `limit` and at most MAX_PAGE.
    function getTrades(uint64 window, uint256 offset, uint256 limit)
        external
        view
        returns (TradeView[] memory page, uint256 total)
    {
        bytes32[] storage ids = _tradesIn[window];
        total = ids.length;
        uint256 count = _pageLength(total, offset, limit);
        page = new TradeView[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 tradeId = ids[offset + i];
            page[i] = TradeView({tradeId: tradeId, trade: _trades[tradeId]});
        }
    }

    /// @notice An offer; all zero if there is none with this number.
    function getOffer(uint256 offerId) external view returns (Offer memory) {
        return _offers[offerId];
    }

    /// @notice A trade; all zero if there is none with this number.
    function getTrade(bytes32 tradeId) external view returns (Trade memory) {
        return _trades[tradeId];
    }

    /// @notice A household in a window.
    function getPosition(uint64 window, address household) external view returns (Position memory) {
        return _positions[window][household];
    }

    /// @notice The genesis parameters beside schedule and tariffs.
    function parameters() external view returns (Parameters memory) {
        return Parameters({
            penaltyMicroeurPerKwh: _penalty,
            operatorMarginMicroeurPerKwh: _operatorMargin,
            minimumLotWh: _minimumLotWh
        });
    }

    /// @notice The least deposit of an offer: (retail - price) * energy + penalty * energy, the most that its seller
    /// can owe beyond what the buyer pays.
    function depositRequired(uint64 window, uint32 energyWh, uint32 priceMicroeurPerKwh)
        public
        view
        returns (uint256 amountMicroeur)
    {
        uint32 retail = _retail(tariffAt(window));
        uint32 gap = retail > priceMicroeurPerKwh ? retail - priceMicroeurPerKwh : 0;
        return _cost(gap, energyWh) + _cost(_penalty, energyWh);
    }

    /// @notice What the buyer signs (EIP-712 with chain id and this contract), and the number of the trade that it
    /// becomes.
    function acceptanceDigest(
        uint64 window,
        address seller,
        address buyer,
        uint32 energyWh,
        uint32 priceMicroeurPerKwh,
        bytes32 negotiationId
    ) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    ACCEPTANCE_TYPEHASH, window, seller, buyer, energyWh, priceMicroeurPerKwh, negotiationId
                )
            )
        );
    }

    function _recordTrade(bytes32 tradeId, uint256 offerId, address buyer, uint32 energyWh, uint32 price) private {
        Offer storage offer = _offers[offerId];
        offer.allocatedWh += energyWh;
        Trade storage trade = _trades[tradeId];
        trade.seller = offer.seller;
        trade.energyWh = energyWh;
        trade.priceMicroeurPerKwh = price;
        trade.state = TradeState.Allocated;
        trade.buyer = buyer;
        trade.window = offer.window;
        trade.offerId = uint64(offerId);
        _tradesIn[offer.window].push(tradeId);
    }

    /// @dev Sets aside what the allocation needs of the offer's deposit, and raises the deposit when that is not
    /// enough.
    function _pledge(Offer storage offer, uint32 energyWh, uint32 price) private {
        uint128 pledged = offer.pledgedMicroeur + uint128(depositRequired(offer.window, energyWh, price));
        offer.pledgedMicroeur = pledged;
        if (pledged > offer.depositMicroeur) {
            uint128 missing = pledged - offer.depositMicroeur;
            offer.depositMicroeur = pledged;
            _lock(offer.seller, missing);
        }
    }

    /// @dev Gives back what the offers of a window hold that no recorded contract needs; bounded by
    /// MAX_OFFERS_PER_SELLER.
    function _releaseOffers(uint64 window, address seller) private {
        uint256[] storage ids = _offersOf[window][seller];
        uint256 released = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            Offer storage offer = _offers[ids[i]];
            released += offer.depositMicroeur;
            if (offer.depositMicroeur > 0) (offer.depositMicroeur, offer.pledgedMicroeur) = (0, 0);
        }
        _unlock(seller, released);
    }

    /// @dev Books energy at retail: the operator's balancing margin is part of the price and a line of its own.
    function _bookRetail(uint64 window, CashKind kind, address payer, Tariff memory tariff, uint256 energyWh) private {
        _book(window, kind, payer, GRID, _cost(_retail(tariff), energyWh));
        _book(window, CashKind.Margin, GRID, operator, _cost(_operatorMargin, energyWh));
    }

    /// @dev Takes a household's readings for good when the first part of its window is settled, so that all parts use
    /// the same ones whatever is attested later.
    function _takeReadings(uint64 window, address household) private returns (Position storage position) {
        position = _positions[window][household];
        if (position.readingsTaken) return position;
        (uint48 importWh, uint48 exportWh, uint16 quarters, bool complete) = meters.windowReading(household, window);
        if (!complete) {
            (uint64 current,) = currentWindow();
            uint64 from = window + _settlementDeadlineWindows + 1;
            if (current < from) revert ReadingsIncomplete(window, household, quarters, _quartersPerWindow, from);
        }
        position.exportWh = exportWh;
        position.importWh = importWh;
        position.readingsTaken = true;
        emit ReadingsTaken(window, household, importWh, exportWh, complete);
    }

    function _checkMeter(address household) private view {
        if (meters.meterOf(household) == address(0)) revert NoMeter(household);
    }

    function _checkNextWindow(uint64 window) private view returns (uint32 elapsedS) {
        uint64 current;
        (current, elapsedS) = currentWindow();
        if (window != current + 1) revert NotTheNextWindow(window, current + 1);
    }

    function _checkRecording(uint64 window) private view {
        uint32 elapsedS = _checkNextWindow(window);
        uint32 untilS = _negotiationCloseS + _recordingMarginS;
        if (elapsedS < _negotiationCloseS || elapsedS >= untilS) {
            revert OutsideRecordingMargin(window, elapsedS, _negotiationCloseS, untilS);
        }
    }

    /// @dev What a reading leaves for a contract after those recorded before it.
    function _filled(uint48 readingWh, uint48 beforeWh, uint32 contractedWh) private pure returns (uint32) {
        if (readingWh <= beforeWh) return 0;
        uint48 leftWh = readingWh - beforeWh;
        return leftWh < contractedWh ? uint32(leftWh) : contractedWh;
    }

    function _pageLength(uint256 total, uint256 offset, uint256 limit) private pure returns (uint256) {
        if (offset >= total) return 0;
        uint256 left = total - offset;
        uint256 most = limit < MAX_PAGE ? limit : MAX_PAGE;
        return left < most ? left : most;
    }
}

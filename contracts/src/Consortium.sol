// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ContractDomain} from "./ContractDomain.sol";

/// @title The consortium: who validates, who votes, and whose accounts may send
/// @notice One household runs one validator and has one vote. A member vouches for accounts, and only vouched accounts
/// may send transactions: nodes read `_vouching` in this contract's storage when they judge a block.
/// @dev Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.1 (a
/// consortium governed by members with equal votes). The founding members come from the genesis file. Proposals, votes,
/// epochs and evidence have their storage here; the functions that write it are not part of this version.
contract Consortium is ContractDomain {
    /// @notice A member as others see it.
    struct Member {
        address account;
        uint64 sinceEpoch;
        bytes32 nodeKey;
        bytes32 name;
        string endpoint;
    }

    /// @notice A founding member; `vouchedCount` accounts of the constructor's list belong to it, in order.
    struct Founder {
        address account;
        uint8 vouchedCount;
        bytes32 nodeKey;
        bytes32 name;
        string endpoint;
    }

    enum ProposalKind {
        None,
        Admit,
        Remove
    }

    enum ProposalState {
        None,
        Open,
        Passed,
        Enacted,
        Withdrawn
    }

    /// @notice A motion to admit or to remove a member.
    struct Proposal {
        address proposer;
        uint64 expiresAtS;
        ProposalKind kind;
        ProposalState state;
        uint16 votes;
        address account;
        bytes32 nodeKey;
        bytes32 name;
        string endpoint;
    }

    /// @notice A set of validators and the height from which it decides.
    struct Epoch {
        uint64 number;
        uint64 firstHeight;
        bytes32 validatorsHash;
    }

    /// @notice The most members that a genesis file may found.
    uint256 public constant MAX_FOUNDERS = 100;
    /// @notice The most accounts that one member may vouch for, its own included: bounds the state a member can claim.
    uint256 public constant MAX_VOUCHED = 64;
    /// @notice The longest p2p endpoint: a host name of 253 characters, a colon and a port.
    uint256 public constant MAX_ENDPOINT_BYTES = 259;

    // The order of the storage below is read by nodes without calls (the committed storage layout): append only.
    address[] private _accounts;
    mapping(address account => Member) private _members;
    mapping(bytes32 nodeKey => address account) private _memberByNodeKey;
    mapping(address account => address member) private _vouching;
    mapping(address member => uint256) private _vouchedCount;
    uint256 private _proposalCount;
    mapping(uint256 proposal => Proposal) private _proposals;
    mapping(uint256 proposal => mapping(address member => bool)) private _voted;
    uint64 private _epoch;
    uint256[] private _queue;
    mapping(uint64 epoch => Epoch) private _epochs;
    mapping(bytes32 evidence => bool) private _evidence;

    /// @notice A member belongs to the consortium from `epoch` on.
    event MemberAdmitted(
        address indexed account, bytes32 indexed nodeKey, uint64 epoch, bytes32 name, string endpoint
    );
    /// @notice A member's validator is reached elsewhere now.
    event EndpointChanged(address indexed member, string endpoint);
    /// @notice `account` may send from now on.
    event Vouched(address indexed member, address indexed account);
    /// @notice `account` may not send any more.
    event VouchingEnded(address indexed member, address indexed account);

    /// @notice The genesis file's consortium does not add up.
    error InvalidConsortium(string reason, uint256 index);
    /// @notice Only a member of the consortium may do this.
    error NotAMember(address sender);
    /// @notice Nobody, or another member, vouches for this account.
    error NotVouchedByYou(address member, address account, address vouching);
    /// @notice A member already vouches for this account.
    error AlreadyVouched(address account, address vouching);
    /// @notice A member cannot stop vouching for its own account.
    error OwnAccount(address member);
    /// @notice The member vouches for as many accounts as it may.
    error TooManyVouched(address member, uint256 limit);
    /// @notice The zero address cannot be vouched for.
    error ZeroAccount();
    /// @notice A p2p endpoint is HOST:PORT and not longer than the limit.
    error InvalidEndpoint(uint256 lengthBytes, uint256 limitBytes);
    /// @notice No member has this place in the list.
    error NoSuchMember(uint256 index, uint256 count);

    modifier onlyMember() {
        if (_members[msg.sender].account == address(0)) revert NotAMember(msg.sender);
        _;
    }

    /// @param founders the founding members, in the genesis file's order.
    /// @param vouched the accounts that the founders vouch for beside their own, founder by founder.
    constructor(Founder[] memory founders, address[] memory vouched) {
        if (founders.length == 0 || founders.length > MAX_FOUNDERS) {
            revert InvalidConsortium("1 to 100 founding members", founders.length);
        }
        uint256 next = 0;
        for (uint256 i = 0; i < founders.length; ++i) {
            Founder memory founder = founders[i];
            _admit(founder, i);
            if (next + founder.vouchedCount > vouched.length) revert InvalidConsortium("vouched accounts missing", i);
            for (uint256 end = next + founder.vouchedCount; next < end; ++next) {
                if (vouched[next] != founder.account) _vouch(founder.account, vouched[next]);
            }
        }
        if (next != vouched.length) revert InvalidConsortium("vouched accounts of nobody", next);
    }

    /// @notice Vouches for `account`, which may send from the next block on.
    function vouch(address account) external onlyDirect onlyMember {
        _vouch(msg.sender, account);
    }

    /// @notice Ends the vouching for `account`, which may not send from the next block on.
    function endVouching(address account) external onlyDirect onlyMember {
        if (account == msg.sender) revert OwnAccount(msg.sender);
        address vouching = _vouching[account];
        if (vouching != msg.sender) revert NotVouchedByYou(msg.sender, account, vouching);
        delete _vouching[account];
        --_vouchedCount[msg.sender];
        emit VouchingEnded(msg.sender, account);
    }

    /// @notice Says where the caller's validator is reached from now on.
    function setEndpoint(string calldata endpoint) external onlyDirect onlyMember {
        _checkEndpoint(endpoint);
        _members[msg.sender].endpoint = endpoint;
        emit EndpointChanged(msg.sender, endpoint);
    }

    /// @notice The number of members.
    function memberCount() external view returns (uint256) {
        return _accounts.length;
    }

    /// @notice The member at a place of the consortium's order, from 0.
    function memberAt(uint256 index) external view returns (Member memory) {
        if (index >= _accounts.length) revert NoSuchMember(index, _accounts.length);
        return _members[_accounts[index]];
    }

    /// @notice The members from `offset` on, at most `limit`.
    function getMembers(uint256 offset, uint256 limit) external view returns (Member[] memory page, uint256 total) {
        total = _accounts.length;
        uint256 first = offset < total ? offset : total;
        uint256 count = total - first < limit ? total - first : limit;
        page = new Member[](count);
        for (uint256 i = 0; i < count; ++i) {
            page[i] = _members[_accounts[first + i]];
        }
    }

    /// @notice The member with this account; all zero if there is none.
    function memberOf(address account) external view returns (Member memory) {
        return _members[account];
    }

    /// @notice The account of the member whose validator has this Ed25519 key; zero if there is none.
    function memberByNodeKey(bytes32 nodeKey) external view returns (address) {
        return _memberByNodeKey[nodeKey];
    }

    /// @notice Whether `account` is a member's own account.
    function isMember(address account) external view returns (bool) {
        return _members[account].account != address(0);
    }

    /// @notice The member that vouches for `account`; zero if nobody does.
    function vouchingMember(address account) external view returns (address) {
        return _vouching[account];
    }

    /// @notice How many accounts a member vouches for, its own included.
    function vouchedCount(address member) external view returns (uint256) {
        return _vouchedCount[member];
    }

    /// @notice The number of the epoch in force: 0 since genesis.
    function currentEpoch() external view returns (uint64) {
        return _epoch;
    }

    function _admit(Founder memory founder, uint256 index) private {
        if (founder.account == address(0)) revert InvalidConsortium("a member account is zero", index);
        if (founder.nodeKey == bytes32(0)) revert InvalidConsortium("a node key is zero", index);
        if (_members[founder.account].account != address(0)) revert InvalidConsortium("a member account twice", index);
        if (_memberByNodeKey[founder.nodeKey] != address(0)) revert InvalidConsortium("a node key twice", index);
        _checkEndpoint(founder.endpoint);
        _accounts.push(founder.account);
        _members[founder.account] = Member({
            account: founder.account,
            sinceEpoch: 0,
            nodeKey: founder.nodeKey,
            name: founder.name,
            endpoint: founder.endpoint
        });
        _memberByNodeKey[founder.nodeKey] = founder.account;
        _vouch(founder.account, founder.account);
        emit MemberAdmitted(founder.account, founder.nodeKey, 0, founder.name, founder.endpoint);
    }

    function _vouch(address member, address account) private {
        if (account == address(0)) revert ZeroAccount();
        address vouching = _vouching[account];
        if (vouching != address(0)) revert AlreadyVouched(account, vouching);
        if (_vouchedCount[member] >= MAX_VOUCHED) revert TooManyVouched(member, MAX_VOUCHED);
        _vouching[account] = member;
        ++_vouchedCount[member];
        emit Vouched(member, account);
    }

    function _checkEndpoint(string memory endpoint) private pure {
        uint256 lengthBytes = bytes(endpoint).length;
        if (lengthBytes < 3 || lengthBytes > MAX_ENDPOINT_BYTES) {
            revert InvalidEndpoint(lengthBytes, MAX_ENDPOINT_BYTES);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ContractDomain} from "./ContractDomain.sol";
import {NodeSignatures} from "./NodeSignatures.sol";

/// @title The consortium: who validates, who votes, and whose accounts may send
/// @notice One household runs one validator and has one vote. A member vouches for accounts, and only vouched accounts
/// may send transactions: nodes read `_vouching` in this contract's storage when they judge a block.
/// @dev Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.1 (a
/// consortium governed by members with equal votes). The founding members come from the genesis file.
///
/// Validators of height h are the members that the state after h-2 names, so what a vote changes in block h acts at h+2.
/// One change of the members a block; further ones wait in a queue, from which the node takes one at the start of a block.
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
        Remove,
        Upgrade,
        Rule,
        Rotate
    }

    /// @notice Passed: waits for the candidate's readiness. Queued: acts at the start of a later block.
    /// Void: passed, but by then it could not be done any more.
    enum ProposalState {
        None,
        Open,
        Passed,
        Enacted,
        Withdrawn,
        Queued,
        Void
    }

    /// @notice A motion, and what became of it. A member's own leave or new node key needs no vote, but is recorded so.
    /// @dev `account`, `nodeKey`, `name`, `endpoint`: of the member that is meant; `account` is also the system contract
    /// that is upgraded, `name` the rule that is changed. `votes` is counted when the motion passes.
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
        address source;
        bool ready;
        uint256 value;
        bytes32 evidence;
    }

    /// @notice An epoch, the height from which its validators decide, and the proposal that made it.
    struct Epoch {
        uint64 number;
        uint64 firstHeight;
        uint256 proposal;
    }

    /// @notice A rule of consensus that holds from a height on.
    struct RuleChange {
        uint64 fromHeight;
        bytes32 name;
        uint256 value;
    }

    /// @notice A system contract whose code is replaced at the start of the next block by that of `source`.
    struct CodeChange {
        address target;
        address source;
    }

    /// @notice Two votes by one validator for one place: height, view and phase of an epoch.
    struct Equivocation {
        bytes32 nodeKey;
        uint64 epoch;
        uint64 height;
        uint64 view_;
        uint8 phase;
        bytes32 firstHash;
        bytes firstSignature;
        bytes32 secondHash;
        bytes secondSignature;
    }

    /// @notice The most members, at genesis and later: bounds every loop over them.
    uint256 public constant MAX_MEMBERS = 100;
    /// @notice How long a proposal may be voted on, in chain time.
    uint64 public constant VOTING_PERIOD_S = 7 days;
    /// @notice The most proposals of one member that may be open at a time.
    uint256 public constant MAX_OPEN_PER_MEMBER = 8;
    /// @notice What passes in a block acts so many blocks later.
    uint64 public constant DELAY_HEIGHTS = 2;
    /// @notice Who calls `beginBlock`: the node itself, as for Ethereum's system calls (EIP-4788).
    address public constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
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
    CodeChange[] private _codeChanges;
    RuleChange[] private _ruleChanges;
    uint256 private _queueHead;
    uint64 private _changedAtHeight;
    bytes32 private _genesisHash;
    mapping(address member => uint256[MAX_OPEN_PER_MEMBER]) private _openProposals;
    mapping(address member => uint256) private _accusation; // the newest motion to remove it that rests on evidence
    mapping(address member => uint256) private _leaving; // the newest removal of it that was queued
    mapping(address member => uint256) private _rotation;

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

    /// @notice A member belongs to the consortium until the epoch before `epoch`.
    event MemberRemoved(address indexed account, bytes32 indexed nodeKey, uint64 epoch);
    /// @notice A member's validator signs with another key from `epoch` on.
    event NodeKeyRotated(address indexed account, bytes32 indexed oldKey, bytes32 indexed newKey, uint64 epoch);
    /// @notice A motion that members may vote on until `expiresAtS` (chain time).
    event ProposalOpened(
        uint256 indexed proposal, ProposalKind indexed kind, address indexed proposer, address account, uint64 expiresAtS
    );
    /// @notice A member votes for a motion.
    event Voted(uint256 indexed proposal, address indexed member);
    /// @notice A member takes its vote back.
    event VoteWithdrawn(uint256 indexed proposal, address indexed member);
    /// @notice More than half of all members are for it.
    event ProposalPassed(uint256 indexed proposal, uint256 votes, uint256 members);
    /// @notice The candidate's validator has signed a block of the last 256.
    event ReadinessProved(uint256 indexed proposal, uint64 height);
    /// @notice Another change acts first.
    event ProposalQueued(uint256 indexed proposal);
    /// @notice It is done, and acts from `fromHeight` on.
    event ProposalEnacted(uint256 indexed proposal, uint64 fromHeight);
    /// @notice Its proposer takes it back.
    event ProposalWithdrawn(uint256 indexed proposal);
    /// @notice It passed, but cannot be done any more.
    event ProposalVoid(uint256 indexed proposal);
    /// @notice A rule of consensus holds from `fromHeight` on.
    event RuleChanged(bytes32 indexed name, uint256 value, uint64 fromHeight);
    /// @notice The code of a system contract is replaced at the start of the next block.
    event CodeChanged(address indexed target, address indexed source);
    /// @notice A validator signed two votes where an honest one signs one; `proposal` is the motion to remove it, or 0.
    event EquivocationProved(
        bytes32 indexed evidence, address indexed account, bytes32 indexed nodeKey, uint64 height, uint256 proposal
    );

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
    /// @notice A p2p endpoint consists of printable ASCII characters without spaces.
    error InvalidEndpointByte(uint256 index, bytes1 found);
    /// @notice No member has this place in the list.
    error NoSuchMember(uint256 index, uint256 count);
    /// @notice There is no proposal with this number.
    error UnknownProposal(uint256 proposal, uint256 count);
    /// @notice The proposal is not open any more, or not in the state that this needs.
    error NotOpen(uint256 proposal, ProposalState state);
    /// @notice The proposal could be voted on until this chain time.
    error Expired(uint256 proposal, uint64 expiresAtS, uint256 nowS);
    /// @notice The member has voted for this proposal already.
    error AlreadyVoted(uint256 proposal, address member);
    /// @notice The member has not voted for this proposal.
    error NotVoted(uint256 proposal, address member);
    /// @notice This is decided already and acts at the start of a later block.
    error AlreadyQueued(uint256 proposal);
    /// @notice Only its proposer may withdraw a proposal.
    error NotTheProposer(uint256 proposal, address proposer);
    /// @notice A motion that rests on evidence is for all members to decide: nobody takes it back.
    error RestsOnEvidence(uint256 proposal, bytes32 evidence);
    /// @notice Not more than half of all members are for it.
    error NotPassed(uint256 proposal, uint256 votes, uint256 needed);
    /// @notice So many proposals of this member are open; withdraw one, or wait.
    error TooManyOpen(address member, uint256 limit);
    /// @notice The account is a member already.
    error AlreadyAMember(address account);
    /// @notice The account is no member that could be removed.
    error NoMember(address account);
    /// @notice The node key is, or was, a member's.
    error NodeKeyTaken(bytes32 nodeKey, address account);
    /// @notice A node key is not zero.
    error ZeroNodeKey();
    /// @notice The consortium has as many members as it may.
    error TooManyMembers(uint256 limit);
    /// @notice The last member can neither leave nor be removed.
    error LastMember(address account);
    /// @notice The proposal admits nobody, so nobody need be ready.
    error NotAnAdmission(uint256 proposal);
    /// @notice The candidate has proved that it is ready.
    error AlreadyReady(uint256 proposal);
    /// @notice Readiness is proved over one of the last 256 blocks.
    error UnknownBlock(uint64 height, uint256 newest);
    /// @notice The signature is not the node key's over this block of this chain.
    error NotReady(bytes32 nodeKey, uint64 height);
    /// @notice Only the system contracts are upgraded so.
    error NoSystemContract(address target);
    /// @notice There is no code at this address.
    error NoCode(address source);
    /// @notice The rule is not known, or its value out of range.
    error InvalidRule(bytes32 name, uint256 value, uint256 least, uint256 most);
    /// @notice The node key is no member's.
    error UnknownNodeKey(bytes32 nodeKey);
    /// @notice This equivocation is on record.
    error EvidenceRecorded(bytes32 evidence);
    /// @notice One of the two votes is not what it must be: 0 the hashes are equal or the phase is none, 1 the first
    /// signature does not hold, 2 the second.
    error InvalidEvidence(uint8 which);
    /// @notice Only the node itself begins a block.
    error NotTheSystem(address sender);

    modifier onlyMember() {
        if (_members[msg.sender].account == address(0)) revert NotAMember(msg.sender);
        _;
    }

    /// @param founders the founding members, in the genesis file's order.
    /// @param vouched the accounts that the founders vouch for beside their own, founder by founder.
    constructor(Founder[] memory founders, address[] memory vouched) {
        if (founders.length == 0 || founders.length > MAX_MEMBERS) {
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

    /// @notice Moves to admit a household; the proposer's vote is cast with it.
    function proposeAdmission(address account, bytes32 nodeKey, bytes32 name, string calldata endpoint)
        external
        onlyDirect
        onlyMember
        returns (uint256 id)
    {
        if (account == address(0)) revert ZeroAccount();
        if (_members[account].account != address(0)) revert AlreadyAMember(account);
        _checkNodeKey(nodeKey, account);
        _checkEndpoint(endpoint);
        if (_accounts.length >= MAX_MEMBERS) revert TooManyMembers(MAX_MEMBERS);
        id = _open(ProposalKind.Admit, account);
        Proposal storage proposal_ = _proposals[id];
        proposal_.nodeKey = nodeKey;
        proposal_.name = name;
        proposal_.endpoint = endpoint;
        _vote(id);
    }

    /// @notice Moves to remove a member; the proposer's vote is cast with it.
    function proposeRemoval(address account) external onlyDirect onlyMember returns (uint256 id) {
        if (_members[account].account == address(0)) revert NoMember(account);
        if (_accounts.length == 1) revert LastMember(account);
        id = _open(ProposalKind.Remove, account);
        _proposals[id].nodeKey = _members[account].nodeKey;
        _vote(id);
    }

    /// @notice Moves to replace the code of a system contract by that of `source`, a contract created for it.
    function proposeUpgrade(address target, address source) external onlyDirect onlyMember returns (uint256 id) {
        if (uint160(target) < 0x4801 || uint160(target) > 0x4805) revert NoSystemContract(target);
        if (source.code.length == 0) revert NoCode(source);
        id = _open(ProposalKind.Upgrade, target);
        _proposals[id].source = source;
        _vote(id);
    }

    /// @notice Moves to change a rule of consensus.
    function proposeRule(bytes32 name, uint256 value) external onlyDirect onlyMember returns (uint256 id) {
        (uint256 least, uint256 most) = ruleBounds(name);
        if (value < least || value > most) revert InvalidRule(name, value, least, most);
        id = _open(ProposalKind.Rule, address(0));
        _proposals[id].name = name;
        _proposals[id].value = value;
        _vote(id);
    }

    /// @notice Votes for a proposal.
    function vote(uint256 id) external onlyDirect onlyMember {
        _checkOpen(id);
        if (_voted[id][msg.sender]) revert AlreadyVoted(id, msg.sender);
        _vote(id);
    }

    /// @notice Takes the caller's vote back, as long as the proposal has not passed.
    function withdrawVote(uint256 id) external onlyDirect onlyMember {
        _checkOpen(id);
        if (!_voted[id][msg.sender]) revert NotVoted(id, msg.sender);
        _voted[id][msg.sender] = false;
        emit VoteWithdrawn(id, msg.sender);
    }

    /// @notice Takes a proposal back, as long as nothing has come of it.
    function withdrawProposal(uint256 id) external onlyDirect onlyMember {
        Proposal storage proposal_ = _known(id);
        if (proposal_.proposer != msg.sender) revert NotTheProposer(id, proposal_.proposer);
        if (proposal_.state != ProposalState.Open && proposal_.state != ProposalState.Passed) {
            revert NotOpen(id, proposal_.state);
        }
        if (proposal_.evidence != bytes32(0)) revert RestsOnEvidence(id, proposal_.evidence);
        proposal_.state = ProposalState.Withdrawn;
        emit ProposalWithdrawn(id);
    }

    /// @notice Decides a proposal that more than half are for by now, because others have left since they voted.
    function enact(uint256 id) external onlyDirect {
        _checkOpen(id);
        _decide(id);
        if (_proposals[id].state == ProposalState.Open) revert NotPassed(id, _votesFor(id), votesNeeded());
    }

    /// @notice Proves that a candidate's validator follows the chain: its signature over one of the last 256 blocks.
    /// An admission that has passed acts with it.
    function proveReadiness(uint256 id, uint64 height, bytes calldata signature) external onlyDirect onlyMember {
        Proposal storage proposal_ = _known(id);
        if (proposal_.kind != ProposalKind.Admit) revert NotAnAdmission(id);
        if (proposal_.state != ProposalState.Open && proposal_.state != ProposalState.Passed) {
            revert NotOpen(id, proposal_.state);
        }
        _checkNotExpired(id, proposal_);
        if (proposal_.ready) revert AlreadyReady(id);
        _checkReadiness(proposal_.nodeKey, height, signature);
        proposal_.ready = true;
        emit ReadinessProved(id, height);
        _decide(id);
    }

    /// @notice Gives the caller's validator another node key, which proves its readiness; the seat stays. The old key
    /// stays known as the member's, so that it can be blamed and nobody else can take it.
    function rotateNodeKey(bytes32 newKey, uint64 height, bytes calldata signature)
        external
        onlyDirect
        onlyMember
        returns (uint256 id)
    {
        _checkNodeKey(newKey, address(0));
        _checkReadiness(newKey, height, signature);
        _checkNotQueued(_rotation[msg.sender]);
        id = _record(ProposalKind.Rotate, msg.sender, msg.sender);
        _proposals[id].nodeKey = newKey;
        _proposals[id].ready = true;
        _rotation[msg.sender] = id;
        _pass(id);
    }

    /// @notice Leaves the consortium.
    function leave() external onlyDirect onlyMember returns (uint256 id) {
        if (_accounts.length == 1) revert LastMember(msg.sender);
        _checkNotQueued(_leaving[msg.sender]);
        id = _record(ProposalKind.Remove, msg.sender, msg.sender);
        _proposals[id].nodeKey = _members[msg.sender].nodeKey;
        _pass(id);
    }

    /// @notice Puts an equivocation on record and opens the motion to remove its signer. Sent by any account that a
    /// member vouches for; nobody's vote is cast with it.
    function submitEvidence(Equivocation calldata equivocation) external onlyDirect {
        address submitter = _vouching[msg.sender];
        if (_members[submitter].account == address(0)) revert NotAMember(msg.sender);
        address account = _memberByNodeKey[equivocation.nodeKey];
        if (account == address(0)) revert UnknownNodeKey(equivocation.nodeKey);
        bytes32 evidence = evidenceId(
            equivocation.nodeKey, equivocation.epoch, equivocation.height, equivocation.view_, equivocation.phase
        );
        if (_evidence[evidence]) revert EvidenceRecorded(evidence);
        _checkEquivocation(equivocation);
        _evidence[evidence] = true;
        emit EquivocationProved(
            evidence, account, equivocation.nodeKey, equivocation.height, _openRemoval(account, submitter, evidence)
        );
    }

    /// @notice What the node does at the start of a block in which something waits, and of block 1.
    function beginBlock() external {
        if (msg.sender != SYSTEM) revert NotTheSystem(msg.sender);
        if (block.number == 1) _genesisHash = blockhash(0);
        delete _codeChanges; // the node has replaced the code
        uint256 head = _queueHead;
        if (head < _queue.length) {
            _enact(_queue[head]);
            delete _queue[head];
            if (head + 1 == _queue.length) {
                // Only the length: the elements are zero. To clear them again would cost gas for every change since the
                // queue was last empty, and who keeps it from running empty could make this call fail for good.
                assembly ("memory-safe") {
                    sstore(_queue.slot, 0)
                }
                delete _queueHead;
            } else {
                _queueHead = head + 1;
            }
        }
    }

    /// @notice The number of proposals so far; they are numbered from 1.
    function proposalCount() external view returns (uint256) {
        return _proposalCount;
    }

    /// @notice A proposal; while it is open, `votes` counts those of the present members.
    function proposal(uint256 id) external view returns (Proposal memory) {
        _known(id);
        return _shown(id);
    }

    /// @notice The proposals from number `first` on (the first is 1), at most `limit`.
    function getProposals(uint256 first, uint256 limit)
        external
        view
        returns (Proposal[] memory page, uint256 total)
    {
        total = _proposalCount;
        uint256 count = first == 0 || first > total ? 0 : total - first + 1;
        if (count > limit) count = limit;
        page = new Proposal[](count);
        for (uint256 i = 0; i < count; ++i) {
            page[i] = _shown(first + i);
        }
    }

    /// @notice Whether a member has voted for a proposal.
    function hasVoted(uint256 id, address member) external view returns (bool) {
        return _voted[id][member];
    }

    /// @notice The least number of votes that is more than half of all members.
    function votesNeeded() public view returns (uint256) {
        return _accounts.length / 2 + 1;
    }

    /// @notice How many changes of the members wait for a later block.
    function queueLength() external view returns (uint256) {
        return _queue.length - _queueHead;
    }

    /// @notice The hash of block 0, which votes are bound to; known from block 1 on.
    function genesisHash() external view returns (bytes32) {
        return _genesisHash;
    }

    /// @notice All changes of rules so far.
    function ruleChanges() external view returns (RuleChange[] memory) {
        return _ruleChanges;
    }

    /// @notice The newest epoch that was announced; it acts from its `firstHeight` on.
    function newestEpoch() external view returns (Epoch memory) {
        return _epochs[_epoch];
    }

    /// @notice The identity of an equivocation: one a place and node key.
    function evidenceId(bytes32 nodeKey, uint64 epoch, uint64 height, uint64 view_, uint8 phase)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(nodeKey, epoch, height, view_, phase));
    }

    /// @notice Whether an equivocation is on record.
    function evidenceRecorded(bytes32 evidence) external view returns (bool) {
        return _evidence[evidence];
    }

    /// @notice The range of a rule that may be voted on; names are ASCII, padded with zeros on the right.
    function ruleBounds(bytes32 name) public pure returns (uint256 least, uint256 most) {
        if (name == "version") return (1, 2 ** 31);
        if (name == "block_gas_limit") return (1_000_000, 2 ** 40);
        if (name == "future_tolerance_ms") return (0, 600_000);
        if (name == "view_timeout_ms") return (100, 600_000);
        if (name == "max_view_timeout_ms") return (100, 3_600_000);
        revert InvalidRule(name, 0, 0, 0);
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

    /// @notice The account of the member whose validator has, or once had, this Ed25519 key; zero if there is none.
    function memberByNodeKey(bytes32 nodeKey) external view returns (address) {
        return _memberByNodeKey[nodeKey];
    }

    /// @notice Whether `account` is a member's own account.
    function isMember(address account) external view returns (bool) {
        return _members[account].account != address(0);
    }

    /// @notice The member that vouches for `account`; zero if nobody does.
    function vouchingMember(address account) external view returns (address) {
        return _members[_vouching[account]].account;
    }

    /// @notice How many accounts a member vouches for, its own included.
    function vouchedCount(address member) external view returns (uint256) {
        return _vouchedCount[member];
    }

    /// @notice The number of the epoch in force: 0 since genesis.
    function currentEpoch() external view returns (uint64 number) {
        number = _epoch;
        while (number > 0 && _epochs[number].firstHeight > block.number) --number;
    }

    function _open(ProposalKind kind, address account) private returns (uint256 id) {
        uint256[MAX_OPEN_PER_MEMBER] storage slots = _openProposals[msg.sender];
        uint256 free = MAX_OPEN_PER_MEMBER;
        for (uint256 i = 0; i < MAX_OPEN_PER_MEMBER && free == MAX_OPEN_PER_MEMBER; ++i) {
            if (!_isOpen(slots[i])) free = i;
        }
        if (free == MAX_OPEN_PER_MEMBER) revert TooManyOpen(msg.sender, MAX_OPEN_PER_MEMBER);
        id = _record(kind, account, msg.sender);
        slots[free] = id;
    }

    function _record(ProposalKind kind, address account, address proposer) private returns (uint256 id) {
        id = ++_proposalCount;
        Proposal storage proposal_ = _proposals[id];
        proposal_.proposer = proposer;
        proposal_.expiresAtS = uint64(block.timestamp) + VOTING_PERIOD_S;
        proposal_.kind = kind;
        proposal_.state = ProposalState.Open;
        proposal_.account = account;
        emit ProposalOpened(id, kind, proposer, account, proposal_.expiresAtS);
    }

    function _vote(uint256 id) private {
        _voted[id][msg.sender] = true;
        emit Voted(id, msg.sender);
        _decide(id);
    }

    /// @dev Lets an open proposal pass if more than half are for it, and act if nothing else is needed.
    function _decide(uint256 id) private {
        Proposal storage proposal_ = _proposals[id];
        if (proposal_.state == ProposalState.Open && _votesFor(id) >= votesNeeded()) {
            _pass(id);
        } else if (proposal_.state == ProposalState.Passed && proposal_.ready) {
            _act(id);
        }
    }

    function _pass(uint256 id) private {
        Proposal storage proposal_ = _proposals[id];
        proposal_.votes = uint16(_votesFor(id));
        proposal_.state = ProposalState.Passed;
        emit ProposalPassed(id, proposal_.votes, _accounts.length);
        if (proposal_.kind != ProposalKind.Admit || proposal_.ready) _act(id);
    }

    function _act(uint256 id) private {
        Proposal storage proposal_ = _proposals[id];
        bool ofMembers = proposal_.kind != ProposalKind.Upgrade && proposal_.kind != ProposalKind.Rule;
        if (ofMembers && (_changedAtHeight == block.number || _queue.length > 0)) {
            proposal_.state = ProposalState.Queued;
            _queue.push(id);
            if (proposal_.kind == ProposalKind.Remove) _leaving[proposal_.account] = id;
            emit ProposalQueued(id);
        } else {
            _enact(id);
        }
    }

    /// @dev Does what was decided, unless it has become impossible since. Never reverts: the node calls it too.
    function _enact(uint256 id) private {
        Proposal storage proposal_ = _proposals[id];
        uint64 fromHeight = uint64(block.number) + DELAY_HEIGHTS;
        if (!_possible(proposal_)) {
            proposal_.state = ProposalState.Void;
            emit ProposalVoid(id);
            return;
        }
        proposal_.state = ProposalState.Enacted;
        if (proposal_.kind == ProposalKind.Upgrade) {
            fromHeight = uint64(block.number) + 1;
            _codeChanges.push(CodeChange(proposal_.account, proposal_.source));
            emit CodeChanged(proposal_.account, proposal_.source);
        } else if (proposal_.kind == ProposalKind.Rule) {
            _ruleChanges.push(RuleChange(fromHeight, proposal_.name, proposal_.value));
            emit RuleChanged(proposal_.name, proposal_.value, fromHeight);
        } else {
            _changedAtHeight = uint64(block.number);
            uint64 number = ++_epoch;
            _epochs[number] = Epoch(number, fromHeight, id);
            if (proposal_.kind == ProposalKind.Admit) _join(proposal_);
            else if (proposal_.kind == ProposalKind.Remove) _remove(proposal_.account);
            else _rotate(proposal_.account, proposal_.nodeKey);
        }
        emit ProposalEnacted(id, fromHeight);
    }

    function _possible(Proposal storage proposal_) private view returns (bool) {
        bool member = _members[proposal_.account].account != address(0);
        if (proposal_.kind == ProposalKind.Admit) {
            return !member && _accounts.length < MAX_MEMBERS && _isFree(proposal_.nodeKey, proposal_.account);
        }
        if (proposal_.kind == ProposalKind.Remove) return member && _accounts.length > 1;
        if (proposal_.kind == ProposalKind.Rotate) return member && _isFree(proposal_.nodeKey, address(0));
        return proposal_.kind != ProposalKind.Upgrade || proposal_.source.code.length > 0;
    }

    function _join(Proposal storage proposal_) private {
        address account = proposal_.account;
        _accounts.push(account);
        _members[account] = Member({
            account: account,
            sinceEpoch: _epoch,
            nodeKey: proposal_.nodeKey,
            name: proposal_.name,
            endpoint: proposal_.endpoint
        });
        _memberByNodeKey[proposal_.nodeKey] = account;
        address vouching = _vouching[account];
        if (vouching != account) {
            if (vouching != address(0)) --_vouchedCount[vouching];
            _vouching[account] = account;
            ++_vouchedCount[account];
            emit Vouched(account, account);
        }
        emit MemberAdmitted(account, proposal_.nodeKey, _epoch, proposal_.name, proposal_.endpoint);
    }

    /// @dev What the member vouched for stays written, but counts for nothing: a voucher must be a member.
    function _remove(address account) private {
        bytes32 nodeKey = _members[account].nodeKey;
        uint256 last = _accounts.length - 1;
        for (uint256 i = 0; i < last; ++i) {
            if (_accounts[i] == account) {
                _accounts[i] = _accounts[last];
                break;
            }
        }
        _accounts.pop();
        delete _members[account];
        emit MemberRemoved(account, nodeKey, _epoch);
    }

    function _rotate(address account, bytes32 newKey) private {
        bytes32 oldKey = _members[account].nodeKey;
        _members[account].nodeKey = newKey;
        _memberByNodeKey[newKey] = account;
        emit NodeKeyRotated(account, oldKey, newKey, _epoch);
    }

    /// @dev A motion without evidence does not stand in for one with it: a friend of the accused could take it back.
    function _openRemoval(address account, address proposer, bytes32 evidence) private returns (uint256 id) {
        if (_members[account].account == address(0) || _accounts.length == 1) return 0;
        id = _leaving[account];
        if (_proposals[id].state == ProposalState.Queued) return id;
        id = _accusation[account];
        if (_isOpen(id)) return id;
        id = _record(ProposalKind.Remove, account, proposer);
        _proposals[id].nodeKey = _members[account].nodeKey;
        _proposals[id].evidence = evidence;
        _accusation[account] = id;
    }

    function _checkEquivocation(Equivocation calldata equivocation) private view {
        if (
            equivocation.firstHash == equivocation.secondHash || equivocation.phase == 0 || equivocation.phase > 4
                || equivocation.height > block.number + 1
        ) revert InvalidEvidence(0);
        NodeSignatures.Place memory place = NodeSignatures.Place(
            equivocation.epoch, equivocation.height, equivocation.view_, equivocation.phase
        );
        bytes32 key = equivocation.nodeKey;
        if (!NodeSignatures.voteHolds(
                key, _genesisHash, place, equivocation.firstHash, equivocation.firstSignature
            )) revert InvalidEvidence(1);
        if (!NodeSignatures.voteHolds(
                key, _genesisHash, place, equivocation.secondHash, equivocation.secondSignature
            )) revert InvalidEvidence(2);
    }

    function _checkReadiness(bytes32 nodeKey, uint64 height, bytes calldata signature) private view {
        bytes32 blockHash = blockhash(height);
        if (blockHash == bytes32(0)) revert UnknownBlock(height, block.number - 1);
        if (!NodeSignatures.readinessHolds(nodeKey, _genesisHash, height, blockHash, signature)) {
            revert NotReady(nodeKey, height);
        }
    }

    function _checkNodeKey(bytes32 nodeKey, address account) private view {
        if (nodeKey == bytes32(0)) revert ZeroNodeKey();
        if (!_isFree(nodeKey, account)) revert NodeKeyTaken(nodeKey, _memberByNodeKey[nodeKey]);
    }

    /// @dev A key that was a member's stays that member's: who comes back may bring it again.
    function _isFree(bytes32 nodeKey, address account) private view returns (bool) {
        address holder = _memberByNodeKey[nodeKey];
        return holder == address(0) || holder == account;
    }

    function _known(uint256 id) private view returns (Proposal storage proposal_) {
        if (id == 0 || id > _proposalCount) revert UnknownProposal(id, _proposalCount);
        return _proposals[id];
    }

    function _checkOpen(uint256 id) private view {
        Proposal storage proposal_ = _known(id);
        if (proposal_.state != ProposalState.Open) revert NotOpen(id, proposal_.state);
        _checkNotExpired(id, proposal_);
    }

    function _checkNotExpired(uint256 id, Proposal storage proposal_) private view {
        if (block.timestamp > proposal_.expiresAtS) revert Expired(id, proposal_.expiresAtS, block.timestamp);
    }

    /// @dev A member holds at most one place in the queue for each: it cannot keep others' changes waiting.
    function _checkNotQueued(uint256 id) private view {
        if (_proposals[id].state == ProposalState.Queued) revert AlreadyQueued(id);
    }

    function _isOpen(uint256 id) private view returns (bool) {
        Proposal storage proposal_ = _proposals[id];
        bool waiting = proposal_.state == ProposalState.Open || proposal_.state == ProposalState.Passed;
        return waiting && block.timestamp <= proposal_.expiresAtS;
    }

    /// @dev Counted over the present members: the vote of one who has left is void, unless it is admitted again.
    function _votesFor(uint256 id) private view returns (uint256 votes) {
        for (uint256 i = 0; i < _accounts.length; ++i) {
            if (_voted[id][_accounts[i]]) ++votes;
        }
    }

    function _shown(uint256 id) private view returns (Proposal memory shown) {
        shown = _proposals[id];
        if (shown.state == ProposalState.Open) shown.votes = uint16(_votesFor(id));
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
        if (_members[vouching].account != address(0)) revert AlreadyVouched(account, vouching);
        if (_vouchedCount[member] >= MAX_VOUCHED) revert TooManyVouched(member, MAX_VOUCHED);
        if (vouching != address(0)) --_vouchedCount[vouching]; // of one who is no member any more
        _vouching[account] = member;
        ++_vouchedCount[member];
        emit Vouched(member, account);
    }

    function _checkEndpoint(string memory endpoint) private pure {
        uint256 lengthBytes = bytes(endpoint).length;
        if (lengthBytes < 3 || lengthBytes > MAX_ENDPOINT_BYTES) {
            revert InvalidEndpoint(lengthBytes, MAX_ENDPOINT_BYTES);
        }
        for (uint256 i = 0; i < lengthBytes; ++i) {
            bytes1 found = bytes(endpoint)[i];
            if (found <= 0x20 || found >= 0x7f) revert InvalidEndpointByte(i, found);
        }
    }
}

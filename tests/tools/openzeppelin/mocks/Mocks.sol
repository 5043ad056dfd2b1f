// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.4.25;

import "../token/ERC20/ERC20.sol";
import "../token/ERC20/ERC20Burnable.sol";
import "../token/ERC20/ERC20Capped.sol";
import "../token/ERC20/ERC20Detailed.sol";
import "../token/ERC20/ERC20Mintable.sol";
import "../token/ERC20/ERC20Pausable.sol";

// What OpenZeppelin's tests deploy and its package leaves out: the tokens with their internal functions in the open.

contract ERC20Mock is ERC20 {
    constructor(address holder, uint256 amount) public {
        _mint(holder, amount);
    }

    function mint(address to, uint256 amount) public {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) public {
        _burn(from, amount);
    }

    function burnFrom(address from, uint256 amount) public {
        _burnFrom(from, amount);
    }
}

contract ERC20BurnableMock is ERC20Burnable {
    constructor(address holder, uint256 amount) public {
        _mint(holder, amount);
    }
}

contract ERC20DetailedMock is ERC20, ERC20Detailed {
    constructor(string name, string symbol, uint8 decimals) public ERC20Detailed(name, symbol, decimals) {}
}

contract ERC20MintableMock is ERC20Mintable {
    function removeMinter(address account) public {
        _removeMinter(account);
    }

    function onlyMinterMock() public view onlyMinter {}
}

contract ERC20PausableMock is ERC20Pausable {
    constructor(address holder, uint256 amount) public {
        _mint(holder, amount);
    }

    function removePauser(address account) public {
        _removePauser(account);
    }

    function onlyPauserMock() public view onlyPauser {}
}

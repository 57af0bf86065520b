/* filesystem: -DN=… threads assign a block to an inode; 32 inodes, 26 blocks, a lock each. */
#define INODES 32
#define BLOCKS 26
#define INO (_pid % INODES)

bit locki[INODES], lockb[BLOCKS], busy[BLOCKS];
byte inode[INODES];

active [N] proctype thread()
{
	byte b = 0;

#ifdef AS_WRITTEN
	atomic { locki[INO] == 0 -> locki[INO] = 1 };
	if
	:: inode[INO] == 0 ->
	   b = (2 * INO) % BLOCKS;
	   do
	   :: atomic { lockb[b] == 0 -> lockb[b] = 1 };
	      if
	      :: busy[b] == 0 ->
		 busy[b] = 1;
		 inode[INO] = b + 1;
		 lockb[b] = 0;
		 break
	      :: else -> lockb[b] = 0
	      fi;
	      b = (b + 1) % BLOCKS
	   od
	:: else
	fi;
	locki[INO] = 0
#else
	d_step { locki[INO] == 0 -> locki[INO] = 1 };
	if
	:: d_step { inode[INO] == 0 -> b = (2 * INO) % BLOCKS };
	   do
	   :: d_step { lockb[b] == 0 -> lockb[b] = 1 };
	      if
	      :: busy[b] == 0 ->
		 busy[b] = 1;
		 inode[INO] = b + 1;
		 d_step { lockb[b] = 0; b = 0 };
		 break
	      :: busy[b] != 0 -> d_step { lockb[b] = 0; b = (b + 1) % BLOCKS }
	      fi
	   od
	:: inode[INO] != 0
	fi;
	locki[INO] = 0;
end:	false
#endif
}

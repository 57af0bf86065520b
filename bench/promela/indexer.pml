/* indexer: -DN=… threads insert four messages each into a hash table, by linear probing. */
#define SIZE 128
#define MESSAGE (11 * m + _pid)

byte table[SIZE];

active [N] proctype thread()
{
	byte m = 1;
	byte h = (7 * MESSAGE) % SIZE;

#ifdef AS_WRITTEN
	do
	:: m <= 4 ->
	   h = (7 * MESSAGE) % SIZE;
	   do
	   :: atomic { table[h] == 0 -> table[h] = MESSAGE }; break
	   :: table[h] != 0 -> h = (h + 1) % SIZE
	   od;
	   m++
	:: else -> break
	od
#else
	do
	:: d_step { table[h] != 0 -> h = (h + 1) % SIZE }
	:: d_step { m < 4 && table[h] == 0 -> table[h] = MESSAGE; m++; h = (7 * MESSAGE) % SIZE }
	:: d_step { m == 4 && table[h] == 0 -> table[h] = MESSAGE; h = 0 }; break
	od;
end:	false
#endif
}
